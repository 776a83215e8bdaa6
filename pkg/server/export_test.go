package server

import "time"

// SetMaxPending sets how many bytes of payloads may be on their way to the
// store.
func (s *Server) SetMaxPending(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commit.maxSize = n
}

// Unpoll has each connection read by a goroutine of its own.
func (s *Server) Unpoll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unpolled = true
}

// SetWallClock replaces the wall clock: f gets the time that it would show.
func (s *Server) SetWallClock(f func(time.Time) int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clocks.wall = f
}
