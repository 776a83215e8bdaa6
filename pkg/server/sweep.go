package server

// sweep looks at all connections, a page at a time, and drops those that hold memory
// and make no progress. The shared part of the connections calls it when there is a
// reason.
func (s *Server) sweep() {
	sweep := s.peers.BeginSweep()
	s.mu.Lock()
	s.conns.beginWalk()
	s.mu.Unlock()
	var last *conn
	for more := true; more; {
		s.mu.Lock()
		if s.closed {
			s.conns.endWalk()
			s.mu.Unlock()
			return
		}
		b := newBudget(pageSteps)
		last, more = s.conns.after(last, func(c *conn) bool {
			if why := sweep.Check(&c.Conn, c.parked.size); why != nil {
				c.dropAfterTurn(why)
			}
			return b.spend(1)
		})
		if !more {
			s.conns.endWalk()
		}
		s.endTurn(nil)
	}
	sweep.End()
}
