package work

import (
	"sync"
	"time"
)

// statusEvery is the minimum time between two statuses that the client of a job with
// a reducer gets, apart from the last one.
const statusEvery = 100 * time.Millisecond

// mapStatus sends the client of a job the number of its parts that have ended. A
// number that comes within statusEvery of the one before is sent at the end of that
// time, if there is no newer one by then.
type mapStatus struct {
	send  func(done, total int64)
	total int

	mu      sync.Mutex
	done    int         // parts
	sent    time.Time   // time of the last status
	delayed *time.Timer // sends the next status; nil: none waits
	stopped bool
}

// addPart counts a part that has ended.
func (s *mapStatus) addPart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	wait := statusEvery - time.Since(s.sent)
	switch {
	case s.done == s.total || wait <= 0:
		s.sendNow()
	case s.delayed == nil:
		s.delayed = time.AfterFunc(wait, s.sendDelayed)
	}
}

// sendDelayed sends the status that waits, unless it was sent meanwhile.
func (s *mapStatus) sendDelayed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delayed != nil && !s.stopped {
		s.sendNow()
	}
}

// sendNow sends the number. The lock is held.
func (s *mapStatus) sendNow() {
	s.stopTimer()
	s.sent = time.Now()
	s.send(int64(s.done), int64(s.total))
}

func (s *mapStatus) stopTimer() {
	if s.delayed != nil {
		s.delayed.Stop()
		s.delayed = nil
	}
}

// stop ends the sending. No status is sent after its return.
func (s *mapStatus) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.stopTimer()
}
