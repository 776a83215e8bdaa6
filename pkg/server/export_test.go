package server

// SetMaxPending sets how many bytes of payloads may be on their way to the
// store.
func (s *Server) SetMaxPending(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commit.maxSize = n
}
