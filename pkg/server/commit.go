package server

import (
	"context"
	"log/slog"
	"time"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// retryCommit is how long after a failed batch the store is asked again.
const retryCommit = 100 * time.Millisecond

// committer hands the store one batch at a time. While the store is busy with
// one, the next gathers.
type committer struct {
	s     *Server
	store store.Store
	work  chan struct{} // buffered: there is a batch

	// Guarded by Server.mu.
	next    batch
	pending map[*queue.Job]uint32 // the batch that a job's Add is in, until that is settled
	prevErr error                 // what became of the batch before the one that is settled
}

// batch is what goes to the store together, and who waits for it.
type batch struct {
	n       uint32 // from 1
	ops     []store.Op
	adds    []*queue.Job // the jobs that ops adds
	waiting []*conn      // one entry a submission, in order
}

func (b *batch) empty() bool { return len(b.ops) == 0 && len(b.waiting) == 0 }

// parked is a submission that waits for its batch, and what its connection is
// owed after it. A submission that joins a job which is already on its way to
// the store waits for the batch after that one, so that a connection's replies
// keep their order; batch says which one decides.
type parked struct {
	handle []byte
	batch  uint32
	bytes  []byte
}

func (p *parked) packet(t wire.Type, args ...[]byte) {
	p.bytes = wire.Append(p.bytes, wire.Response, t, args...)
}

// park returns where to put what must stand behind the last parked reply.
func (c *conn) park() *parked { return &c.parked[len(c.parked)-1] }

func newCommitter(s *Server, st store.Store) *committer {
	return &committer{s: s, store: st, work: make(chan struct{}, 1), next: batch{n: 1}, pending: make(map[*queue.Job]uint32)}
}

// add puts a held job into the next batch. The lock is held.
func (m *committer) add(j *queue.Job) {
	r := m.s.q.Record(j)
	m.next.ops = append(m.next.ops, store.Op{Kind: store.Add, Record: &r})
	m.next.adds = append(m.next.adds, j)
	m.pending[j] = m.next.n
	j.SetJournaled(true)
}

// done puts the end of a journaled job into the next batch. The lock is held.
func (m *committer) done(j *queue.Job) {
	m.next.ops = append(m.next.ops, store.Op{Kind: store.Done, Record: &store.Record{
		Seq: j.Seq(), Function: j.Function().Name(), Unique: string(j.Unique()),
	}})
}

// reply answers a submission once its job is durable. It returns false, and
// leaves the answer to the caller, if nothing of the job is on its way to the
// store. The lock is held.
func (m *committer) reply(c *conn, j *queue.Job) bool {
	n, ok := m.pending[j]
	if ok {
		c.parked = append(c.parked, parked{handle: j.AppendHandle(nil), batch: n})
		m.next.waiting = append(m.next.waiting, c)
	}
	return ok
}

// wake tells run that there is something. The lock is held.
func (m *committer) wake() {
	if m.next.empty() {
		return
	}
	select {
	case m.work <- struct{}{}:
	default:
	}
}

// run commits batches until the server ends; what has gathered by then is
// committed too.
func (m *committer) run() {
	for {
		select {
		case <-m.work:
			if m.commitAll() == nil {
				continue
			}
			select {
			case <-time.After(retryCommit):
				m.again()
				continue
			case <-m.s.ended:
			}
		case <-m.s.ended:
		}
		if err := m.commitAll(); err != nil {
			m.s.log.Error("what was done last may be done again", "store", m.s.cfg.StoreName, "err", err)
		}
		return
	}
}

// again has what a failed batch left behind tried once more.
func (m *committer) again() {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.wake()
}

// commitAll commits batch after batch until none is left or one fails.
func (m *committer) commitAll() error {
	for {
		m.s.mu.Lock()
		b := m.next
		if b.empty() {
			m.s.mu.Unlock()
			return nil
		}
		m.next = batch{n: b.n + 1}
		m.s.mu.Unlock()

		err := m.commit(&b)
		m.s.mu.Lock()
		m.settle(&b, err)
		m.s.endTurn(nil)
		if err != nil {
			return err
		}
	}
}

func (m *committer) commit(b *batch) error {
	if len(b.ops) == 0 {
		return nil
	}
	return m.store.Commit(context.Background(), b.ops)
}

// settle tells everybody what became of a batch. The lock is held.
func (m *committer) settle(b *batch, err error) {
	now := time.Now().UnixMilli()
	if err != nil {
		m.s.note(slog.LevelError, "commit", slog.String("store", m.s.cfg.StoreName), slog.Any("err", err))
		m.keepDones(b)
	}
	for _, c := range b.waiting {
		if c.parked[0].batch == b.n {
			c.answerParked(err)
		} else {
			c.answerParked(m.prevErr)
		}
	}
	m.prevErr = err
	for _, j := range b.adds {
		delete(m.pending, j)
		if err == nil {
			m.s.q.Release(now, j)
		} else {
			j.SetJournaled(false)
			m.s.q.Abort(now, j)
		}
	}
}

// keepDones puts the ends that were in a failed batch in front of the next: a
// job that has run must not come back because the store was away for a while.
func (m *committer) keepDones(b *batch) {
	var ops []store.Op
	for _, op := range b.ops {
		if op.Kind == store.Done {
			ops = append(ops, op)
		}
	}
	m.next.ops = append(ops, m.next.ops...)
}

// answerParked answers the connection's oldest parked submission and lets out
// what stands behind it. The lock is held.
func (c *conn) answerParked(err error) {
	p := c.parked[0]
	c.parked = c.parked[1:]
	var b []byte
	if err == nil {
		b = wire.Append(nil, wire.Response, wire.JobCreated, p.handle)
	} else {
		b = wire.AppendString(nil, wire.Response, wire.Error, wire.CodeQueueError, err.Error())
	}
	c.touch()
	if !c.out.bytes(append(b, p.bytes...)) {
		c.overflow()
	}
	if len(c.parked) == 0 {
		c.parked = nil
		if c.settled != nil {
			close(c.settled)
			c.settled = nil
		}
	}
}
