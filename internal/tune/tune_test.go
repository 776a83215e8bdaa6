package tune

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestSwitch(t *testing.T) {
	for setting, want := range map[string]string{
		"":                      "",
		"on":                    "",
		"off":                   "awake,yield,garbage,procs,poll",
		" OFF ":                 "awake,yield,garbage,procs,poll",
		"-yield":                "yield",
		"-poll, -awake,-future": "awake,poll",
		"yield":                 "",
	} {
		if got := parse(setting).String(); got != want {
			t.Errorf("GM_TUNE=%q turns off %q, want %q", setting, got, want)
		}
	}
}

// TestOnReadsTheEnvironment: the first question reads GM_TUNE.
func TestOnReadsTheEnvironment(t *testing.T) {
	defer state.Store(state.Swap(0))
	t.Setenv("GM_TUNE", "-yield")
	for _, trick := range All() {
		if got, want := trick.On(), trick != YieldTrick; got != want {
			t.Errorf("%v: on is %v, want %v", trick, got, want)
		}
	}
}

// TestOffChangesNothing: without their tricks the functions leave the runtime as it
// is, except for the memory limit.
func TestOffChangesNothing(t *testing.T) {
	defer Disable(parse("off"))()
	t.Setenv("GOMAXPROCS", "")
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	LeastProcs()
	Garbage(1<<40, 64<<20)
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("GOMAXPROCS is %d, want 1", got)
	}
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("the percentage is %d, want 100", got)
	}
	if got := debug.SetMemoryLimit(-1); got != 1<<40 {
		t.Errorf("the memory limit is %d, want %d", got, int64(1<<40))
	}
	var a Awake
	for range 10 * awakeEvery {
		a.Note()
	}
	var y Yielder
	if y.Yield(1000); y.last != 0 {
		t.Error("it has yielded")
	}
}

// TestLeastProcs raises a small GOMAXPROCS, but not one that the user has set.
func TestLeastProcs(t *testing.T) {
	defer Disable(0)()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	t.Setenv("GOMAXPROCS", "1")
	if LeastProcs(); runtime.GOMAXPROCS(0) != 1 {
		t.Errorf("GOMAXPROCS is %d, want that of the environment", runtime.GOMAXPROCS(0))
	}
	t.Setenv("GOMAXPROCS", "")
	if LeastProcs(); runtime.GOMAXPROCS(0) != leastProcs {
		t.Errorf("GOMAXPROCS is %d, want %d", runtime.GOMAXPROCS(0), leastProcs)
	}
}
