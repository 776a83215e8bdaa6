package server

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
