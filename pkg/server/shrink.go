package server

import "time"

const (
	// jobCost and connCost are about the bytes that a waiting job needs besides its
	// payload, and that a connection needs.
	jobCost  = 100
	connCost = 2 << 10
	// shrinkFrom is the number of bytes that must be free before Config.Shrunk is called.
	shrinkFrom = 32 << 20
	// shrinkAfter is the time for which they must be free.
	shrinkAfter = 3 * time.Second
)

// backlog watches the memory of jobs and peers. Server.mu guards it.
type backlog struct {
	most    int64 // the maximum in bytes since Config.Shrunk was called last
	recent  int64 // the maximum since the wait for shrinkAfter began
	waiting bool  // a goroutine waits for shrinkAfter
}

// watchBacklog starts the wait for a call of Config.Shrunk if jobs and peers use at most
// half of the memory that they used before. The lock is held.
func (s *Server) watchBacklog() {
	t := s.q.Totals()
	held := t.Bytes + int64(t.Jobs)*jobCost + s.peers.Used() + int64(s.conns.n)*connCost
	b := &s.backlog
	b.most = max(b.most, held)
	b.recent = max(b.recent, held)
	if !isShrunk(b.most, held) || b.waiting || s.closed || s.cfg.Shrunk == nil {
		return
	}
	b.waiting, b.recent = true, held
	s.loads.Go(s.waitShrunk)
}

// isShrunk reports whether held is at most half of most, and much smaller.
func isShrunk(most, held int64) bool {
	free := most - held
	return free >= shrinkFrom && free >= held
}

// waitShrunk calls Config.Shrunk if the memory stays free for shrinkAfter.
func (s *Server) waitShrunk() {
	select {
	case <-time.After(shrinkAfter):
	case <-s.ended:
		return
	}
	s.mu.Lock()
	b := &s.backlog
	b.waiting = false
	shrunk := isShrunk(b.most, b.recent)
	if shrunk {
		b.most = 0 // the next turn sets it again
	}
	s.endTurn(nil)
	if shrunk {
		s.cfg.Shrunk()
	}
}
