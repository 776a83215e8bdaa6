package server

import (
	"sync/atomic"
	"time"
)

// clocks reads the two clocks of a server. Time limits, wake-ups and the waits of failed
// jobs use a monotonic clock, which nobody can set; dates use the wall clock. Both are in
// milliseconds and agree when the server starts.
type clocks struct {
	start time.Time
	wall  atomic.Pointer[func(time.Time) int64] // of tests: the wall clock at a time; nil is the system's
}

// moment is one reading of both clocks.
type moment struct{ now, wall int64 }

// read returns the time of both clocks.
func (k *clocks) read() moment {
	t := time.Now()
	since := k.start.UnixNano() + int64(t.Sub(k.start))
	wall := t.UnixMilli()
	if f := k.wall.Load(); f != nil {
		wall = (*f)(t)
	}
	return moment{now: since / int64(time.Millisecond), wall: wall}
}

// setTime passes a reading of the clocks to the queue, and returns the monotonic time of
// it. The lock is held.
func (s *Server) setTime(at moment) (now int64) {
	s.q.SetClocks(at.now, at.wall)
	return at.now
}

// readTime reads the clocks, passes the reading to the queue, and returns the monotonic
// time. The lock is held.
func (s *Server) readTime() (now int64) { return s.setTime(s.clocks.read()) }
