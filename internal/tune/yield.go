package tune

import "runtime"

// yieldEvery is the time in milliseconds after which a loop passes through the
// scheduler.
const yieldEvery = 5

// Yielder is for a loop that makes system calls and blocks nowhere else. The Go
// runtime takes a goroutine that has not passed through its scheduler for 10 ms for
// one that does not end, and has a thread look after it some 3,000 times a second,
// which costs a tenth of all processor time. The zero value is ready.
type Yielder struct{ last int64 }

// Yield passes through the scheduler if the last time was some milliseconds before
// now, which is in milliseconds.
func (y *Yielder) Yield(now int64) {
	if now-y.last >= yieldEvery && YieldTrick.On() {
		y.last = now
		runtime.Gosched()
	}
}
