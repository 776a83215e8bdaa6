package cmd

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// minProcs is how many threads run Go code at least. On a machine with fewer
// processors the collector would else take turns with the jobs on one of them,
// for milliseconds; so the system shares them out, in smaller slices.
const minProcs = 4

// tuneRuntime has a busy server answer sooner, unless its user has told Go how
// to work: bound is that of payloads, 0 for none.
func (e *env) tuneRuntime(bound int64) {
	if e.getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minProcs {
		runtime.GOMAXPROCS(minProcs)
	}
	if e.getenv("GOMEMLIMIT") != "" || e.getenv("GOGC") != "" {
		return
	}
	if bound > 0 {
		debug.SetMemoryLimit(memoryLimit(bound, totalMemory()))
	}
	percent := mostGarbage
	debug.SetGCPercent(percent)
	afterEachCollection(func() bool {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if p := garbagePercent(live[0].Value.Uint64()); p != percent {
			percent = p
			debug.SetGCPercent(percent)
		}
		return true
	})
}

// afterEachCollection calls f after each run of the collector until it returns
// false. There is no goroutine for that: the runtime calls f when an object is
// gone that nobody has.
func afterEachCollection(f func() bool) {
	type object struct{ _ *object } // with a pointer, else it would share a block with others
	runtime.AddCleanup(new(object), func(f func() bool) {
		if f() {
			afterEachCollection(f)
		}
	}, f)
}

// While the collector runs, everybody waits longer. So garbage may come to
// mostGarbage percent of what lives, but beyond spareMemory bytes to no more
// than Go's usual 100.
const (
	mostGarbage = 400
	spareMemory = 256 << 20
)

// garbagePercent returns how much garbage there may be if that many bytes
// live, in percent of them: in steps, as each change stops the program.
func garbagePercent(live uint64) int {
	percent := uint64(mostGarbage)
	for percent > 100 && live*percent/100 > spareMemory {
		percent -= 100
	}
	return int(percent)
}
