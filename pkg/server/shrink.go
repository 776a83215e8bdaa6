package server

import "time"

const (
	// jobCost is about what a waiting job takes beside its bytes, connCost what a
	// connection does.
	jobCost  = 100
	connCost = 2 << 10
	// shrinkFrom is how many bytes have to be free before Config.Shrunk is called.
	shrinkFrom = 32 << 20
	// shrinkAfter is for how long they have to be free.
	shrinkAfter = 3 * time.Second
)

// backlog watches what jobs and peers take. Server.mu guards it.
type backlog struct {
	most    int64 // bytes, since Config.Shrunk was called last
	recent  int64 // the most since the present wait began
	telling bool  // a goroutine waits for shrinkAfter
}

// watchBacklog sees to it that Config.Shrunk is called after jobs and peers took
// at least twice as much as they do now. The lock is held.
func (s *Server) watchBacklog() {
	t := s.q.Totals()
	held := t.Bytes + int64(t.Jobs)*jobCost + s.peers.Used() + int64(s.conns.n)*connCost
	b := &s.backlog
	b.most = max(b.most, held)
	b.recent = max(b.recent, held)
	if !isShrunk(b.most, held) || b.telling || s.closed || s.cfg.Shrunk == nil {
		return
	}
	b.telling, b.recent = true, held
	s.loads.Go(s.waitShrunk)
}

// isShrunk reports whether held is little beside most.
func isShrunk(most, held int64) bool {
	free := most - held
	return free >= shrinkFrom && free >= held
}

// waitShrunk calls Config.Shrunk if what was free stays free for shrinkAfter.
func (s *Server) waitShrunk() {
	select {
	case <-time.After(shrinkAfter):
	case <-s.ended:
		return
	}
	s.mu.Lock()
	b := &s.backlog
	b.telling = false
	shrunk := isShrunk(b.most, b.recent)
	if shrunk {
		b.most = 0 // begins anew with the next turn
	}
	s.endTurn(nil)
	if shrunk {
		s.cfg.Shrunk()
	}
}
