package tune

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Awake makes many small events cheaper for a program that does little else. The
// zero value is ready.
//
// Go has a thread, sysmon, that watches the others. It sleeps when all others are
// idle, which small jobs cause up to some thousand times a second. Each time the
// next system call wakes it, and then it looks every 20 us for a millisecond: a
// fifth of the processor time of a worker of small jobs. While there are many
// events, Awake has one more thread sleep in a system call, so that not all are
// idle for Go, and sysmon looks every 10 ms.
//
// The goroutine of Awake ends soon after the last event. It needs some
// threads that run Go code; see [LeastProcs].
type Awake struct {
	events atomic.Int64
	on     atomic.Bool
}

const (
	// awakeFor is the time for which the thread sleeps. After 10 ms Go counts a
	// thread in a system call as idle.
	awakeFor = 5 * time.Millisecond
	// awakeQuiet is the number of sleeps without an event after which the goroutine
	// ends.
	awakeQuiet = 4
	// awakeEvery is the number of events after which Note looks whether the
	// goroutine runs: few events are not worth a thread.
	awakeEvery = 4
)

// Note counts an event.
func (a *Awake) Note() {
	if n := a.events.Add(1); n%awakeEvery == 0 && a.on.CompareAndSwap(false, true) {
		if !AwakeTrick.On() {
			return // for good
		}
		go a.stayAwake()
	}
}

func (a *Awake) stayAwake() {
	defer a.on.Store(false)
	for quiet, last := 0, a.events.Load(); quiet < awakeQuiet && sleepInSystem(awakeFor); {
		if now := a.events.Load(); now == last {
			quiet++
		} else {
			quiet, last = 0, now
		}
		runtime.Gosched() // otherwise Go takes it for a goroutine that does not end
	}
}
