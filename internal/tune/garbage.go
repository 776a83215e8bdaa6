package tune

import (
	"os"
	"runtime"
	"runtime/debug"
)

// Garbage has the garbage collector run less often while the heap is small, and
// sets the memory limit of the runtime to limit bytes, 0 for none. Up to spare bytes
// of garbage may lie around. It does nothing if GOGC or GOMEMLIMIT is in the
// environment, and without its trick it sets only the limit.
//
// By default Go collects when there is as much garbage as live memory. While the
// collector runs all jobs wait longer, and a small heap is full again soon.
func Garbage(limit, spare int64) {
	if os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	if limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	if !GarbageTrick.On() {
		return
	}
	percent := garbagePercent(0, uint64(spare))
	debug.SetGCPercent(percent)
	afterEachCollection(func() bool {
		if !GarbageTrick.On() {
			return false
		}
		if p := garbagePercent(liveHeap(percent), uint64(spare)); p != percent {
			percent = p
			debug.SetGCPercent(percent)
		}
		return true
	})
}

// liveHeap returns about the number of bytes of the heap that the last run of the
// collector has found in use, or less if the memory limit is near. percent is the
// value of SetGCPercent. The runtime plans the next run for the live bytes plus
// that percentage of them and of the stacks. Package runtime/metrics has the number
// itself, but its import makes each start of gm take a twentieth longer.
func liveHeap(percent int) uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p := uint64(percent)
	stacks := m.StackInuse * p / 100
	return (m.NextGC - min(stacks, m.NextGC)) * 100 / (100 + p)
}

// afterEachCollection calls f after each run of the collector until f returns
// false. It needs no goroutine: the runtime calls f when the collector removes an
// object without references.
func afterEachCollection(f func() bool) {
	type object struct{ _ *object } // with a pointer, else it would share a block with others
	runtime.AddCleanup(new(object), func(f func() bool) {
		if f() {
			afterEachCollection(f)
		}
	}, f)
}

// garbagePercents are the amounts of garbage at which the collector runs, in
// percent of the live bytes. Go's usual is 100. They are in steps because each
// change stops the program.
var garbagePercents = []int{2400, 1200, 800, 600, 500, usualGarbage, 300, 200, 100}

const (
	// usualGarbage is the largest percentage for a heap that is not small.
	usualGarbage = 400
	// littleGarbage is the number of bytes of garbage up to which larger percentages
	// are used, so that the collector hardly runs while a server is small.
	littleGarbage = 96 << 20
	// leastHeap is the size that Go assumes for a smaller heap.
	leastHeap = 4 << 20
)

// garbagePercent returns the percentage for a heap with that many live bytes: its
// garbage takes no more than spare bytes, except that 100 percent are always allowed.
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
