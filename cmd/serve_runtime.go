package cmd

import (
	"runtime"
	"runtime/debug"
)

// minProcs is how many threads run Go code at least. On a machine with fewer
// processors the collector would else take turns with the jobs on one of them,
// for milliseconds; so the system shares them out, in smaller slices.
const minProcs = 4

// tuneRuntime has a busy server answer sooner, unless its user has told Go how
// to work.
func (e *env) tuneRuntime(plan memoryPlan) {
	if e.getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minProcs {
		runtime.GOMAXPROCS(minProcs)
	}
	if e.getenv("GOMEMLIMIT") != "" || e.getenv("GOGC") != "" {
		return
	}
	if plan.limit > 0 {
		debug.SetMemoryLimit(plan.limit)
	}
	spare := uint64(plan.garbage)
	percent := garbagePercent(0, spare)
	debug.SetGCPercent(percent)
	afterEachCollection(func() bool {
		if p := garbagePercent(liveHeap(percent), spare); p != percent {
			percent = p
			debug.SetGCPercent(percent)
		}
		return true
	})
}

// liveHeap returns about how many bytes of the heap the last run of the collector
// has found in use, less where the memory limit is near. percent is that of
// SetGCPercent. The runtime plans the next run for what lives and that much of it
// and of the stacks. Package runtime/metrics tells without a plan, but makes each
// start of gm take a twentieth longer.
func liveHeap(percent int) uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p := uint64(percent)
	stacks := m.StackInuse * p / 100
	return (m.NextGC - min(stacks, m.NextGC)) * 100 / (100 + p)
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

// garbagePercents are how much garbage there may be before the collector runs, in
// percent of what lives: while it runs, everybody waits longer. Go's usual is
// 100. They are in steps, as each change stops the program.
var garbagePercents = []int{2400, 1200, 800, 600, 500, usualGarbage, 300, 200, 100}

const (
	// usualGarbage is the most of them if more lives than a little.
	usualGarbage = 400
	// littleGarbage is how many bytes more than that may take, so that the
	// collector hardly runs while a server is small.
	littleGarbage = 96 << 20
	// leastHeap is what Go takes less than that for.
	leastHeap = 4 << 20
)

// spareMemory returns how many bytes of garbage are not minded for that: an
// eighth of the bound for payloads, within reason.
func spareMemory(bound int64) int64 {
	if bound <= 0 {
		return 256 << 20
	}
	return min(max(bound/8, 64<<20), 1<<30)
}

// garbagePercent returns how much garbage there may be if that many bytes
// live: no more than spare bytes, but Go's usual.
func garbagePercent(live, spare uint64) int {
	live = max(live, leastHeap)
	for _, percent := range garbagePercents {
		most := spare
		if percent > usualGarbage {
			most = min(spare, littleGarbage)
		}
		if live*uint64(percent)/100 <= most {
			return percent
		}
	}
	return 100
}
