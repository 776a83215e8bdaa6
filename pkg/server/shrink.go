package server

import "time"

const (
	// jobCost is about what a waiting job takes beside its bytes.
	jobCost = 100
	// shrinkFrom is how many bytes have to be free before anybody is told.
	shrinkFrom = 32 << 20
	// shrinkAfter is how long after that, so that more comes together.
	shrinkAfter = 10 * time.Second
)

// backlog watches what jobs take. Server.mu guards it.
type backlog struct {
	most    int64 // bytes, since the last time that somebody was told
	telling bool
}

// watchBacklog sees to it that Config.Shrunk is called after a backlog that was
// at least twice as large as what is left. The lock is held.
func (s *Server) watchBacklog() {
	t := s.q.Totals()
	held := t.Bytes + int64(t.Jobs)*jobCost
	b := &s.backlog
	b.most = max(b.most, held)
	free := b.most - held
	if free < shrinkFrom || free < held || b.telling || s.closed || s.cfg.Shrunk == nil {
		return
	}
	b.telling = true
	s.loads.Go(func() {
		select {
		case <-time.After(shrinkAfter):
		case <-s.ended:
			return
		}
		s.mu.Lock()
		b.most, b.telling = 0, false // most begins anew with the next turn
		s.mu.Unlock()
		s.cfg.Shrunk()
	})
}
