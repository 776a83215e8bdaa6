package cmd

import (
	"runtime"
	"sync/atomic"
	"time"
)

// minBusyProcs is what awake needs of GOMAXPROCS: one for its own thread, and
// not all of the others at work.
const minBusyProcs = 4

// awake makes many small events cheaper for a program that has nothing else to
// do. Go has a thread that looks after the others. It goes to sleep when all are
// idle, which with small jobs is up to some thousand times a second, and each time
// is woken again by the next system call and then looks every 20 us for a
// millisecond: a fifth of what a worker of small jobs costs. While there are many
// events, awake has one thread more that is in a system call, and so not idle, for
// Go, though it sleeps. Go then looks every 10 ms.
//
// Its goroutine ends by itself soon after the last events. Before the first, see
// enoughProcs.
type awake struct {
	events atomic.Int64
	on     atomic.Bool
}

const (
	// awakeFor is how long the thread sleeps at a time. After 10 ms Go would take
	// for idle what is in a system call.
	awakeFor = 5 * time.Millisecond
	// awakeQuiet is how many such times without an event are the end.
	awakeQuiet = 4
	// awakeEvery is how many events there are between two looks whether the
	// thread is there: few events are not worth it.
	awakeEvery = 4
)

// note notes an event.
func (a *awake) note() {
	if n := a.events.Add(1); n%awakeEvery == 0 && a.on.CompareAndSwap(false, true) {
		go a.stay()
	}
}

func (a *awake) stay() {
	defer a.on.Store(false)
	for quiet, last := 0, a.events.Load(); quiet < awakeQuiet && sleepInSystem(awakeFor); {
		if now := a.events.Load(); now == last {
			quiet++
		} else {
			quiet, last = 0, now
		}
		runtime.Gosched() // else Go takes it for one that does not end
	}
}

// enoughProcs has Go run enough threads for awake, unless its user has said how
// many.
func (e *env) enoughProcs() {
	if e.getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minBusyProcs {
		runtime.GOMAXPROCS(minBusyProcs)
	}
}
