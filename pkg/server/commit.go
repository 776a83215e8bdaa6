package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

const (
	// retryCommit is how long after a failed batch the store is asked again.
	retryCommit = 100 * time.Millisecond
	// maxPending is how many bytes of payloads may be on their way to the
	// store before those who send more are read no further.
	maxPending = 256 << 20
	// storeGrace is how long a store may take for what has gathered when the
	// server is closed.
	storeGrace = 10 * time.Second
)

// committer hands the store one batch at a time. While the store is busy with
// one, the next gathers.
type committer struct {
	s     *Server
	store store.Store
	work  chan struct{} // buffered: there is a batch

	// ctx is the store's. It outlives the server's end by storeGrace.
	ctx    context.Context
	cancel context.CancelFunc

	// Guarded by Server.mu.
	next    batch
	size    int    // of the payloads of jobs on their way to the store
	lastErr error  // what became of the last batch that was settled
	failing error  // why the store fails; nil if it works
	outage  outage // what the log has of that

	batches, batchedOps uint64 // that the store has taken

	flying batch        // what the store has in hand
	busy   bool         // it has
	stuck  error        // not nil if it has had it for too long, see hung
	late   []*queue.Job // the jobs of that batch, which were refused

	maxSize  int // maxPending, but for tests
	tidyFrom int // see keepRest

	spare batch       // run's: room for a later batch
	watch *time.Timer // calls hung
}

// batch is what goes to the store together, and who waits for it.
type batch struct {
	n       uint32 // from 1
	ops     []store.Op
	records [][]store.Record // room for those of ops, in chunks
	adds    []*queue.Job     // the jobs that ops adds
	deaths  []*queue.Dead
	waiting []submitter // one entry a submission, in order
	after   []follower

	nrecords int // of records, that are in use
}

// submitter is a submission that waits for its batch: a parked request. One
// that joins a job which is already on its way to the store is answered with
// the batch after the job's; batch says which one decides.
type submitter struct {
	c     *conn
	n     uint64
	job   *queue.Job
	batch uint32
}

// follower is what follows the settling of a batch. f is called under the lock.
type follower struct {
	batch uint32 // the one that decides
	f     func(now int64, err error)
}

func (b *batch) empty() bool { return len(b.ops) == 0 && !b.awaited() }

// awaited reports whether anybody waits for the batch.
func (b *batch) awaited() bool { return len(b.waiting) > 0 || len(b.after) > 0 }

// tag tells the batch from the one before and the one after.
func (b *batch) tag() uint8 { return uint8(b.n&1) + 1 }

const (
	// keepOps is the room for operations that a batch keeps for the next.
	keepOps = 8192
	// recordChunk is how many records are allocated together.
	recordChunk = 256
)

// op adds an operation and returns its record.
func (b *batch) op(kind store.Kind) *store.Record {
	at, in := b.nrecords/recordChunk, b.nrecords%recordChunk
	if at == len(b.records) {
		b.records = append(b.records, make([]store.Record, recordChunk))
	}
	b.nrecords++
	r := &b.records[at][in]
	b.ops = append(b.ops, store.Op{Kind: kind, Record: r})
	return r
}

// reset empties the batch, of which nobody has anything any more, for reuse.
func (b *batch) reset() {
	if cap(b.ops) > keepOps || cap(b.waiting) > keepOps {
		*b = batch{}
		return
	}
	for _, chunk := range b.records[:(b.nrecords+recordChunk-1)/recordChunk] {
		clear(chunk)
	}
	clear(b.ops)
	clear(b.adds)
	clear(b.deaths)
	clear(b.waiting)
	clear(b.after)
	b.ops, b.adds, b.deaths, b.waiting, b.after = b.ops[:0], b.adds[:0], b.deaths[:0], b.waiting[:0], b.after[:0]
	b.nrecords = 0
}

func newCommitter(s *Server, st store.Store) *committer {
	ctx, cancel := context.WithCancel(context.Background())
	m := &committer{
		s: s, store: st, work: make(chan struct{}, 1), ctx: ctx, cancel: cancel,
		next: batch{n: 1}, tidyFrom: tidyFrom, maxSize: maxPending,
	}
	m.watch = time.AfterFunc(time.Hour, m.hung)
	m.watch.Stop()
	return m
}

// add puts a job into the next batch. The lock is held.
func (m *committer) add(j *queue.Job) {
	r := m.next.op(store.Add)
	*r = m.s.q.Record(j)
	r.Apart = r.Apart || m.s.loading // one with its unique may not be read yet
	m.next.adds = append(m.next.adds, j)
	j.SetTag(m.next.tag())
	m.size += j.Size()
	j.SetJournaled(true)
	if m.s.loading {
		m.s.own.add(j.Seq())
	}
}

// batchOf returns the batch that a job's Add is in; ok is false if it is in
// none, or that is settled. The lock is held.
func (m *committer) batchOf(j *queue.Job) (n uint32, ok bool) {
	switch j.Tag() {
	case 0:
		return 0, false
	case m.next.tag():
		return m.next.n, true
	}
	return m.next.n - 1, true // the one before is the only other
}

// settled ends what add has begun. The lock is held.
func (m *committer) settled(j *queue.Job) {
	j.SetTag(0)
	m.size -= j.Size()
}

// behind reports whether so much is on its way to the store that those who
// send more have to wait. The lock is held.
func (m *committer) behind() bool { return m.size > m.maxSize }

// update keeps the attempts and the time of a journaled job. The lock is held.
func (m *committer) update(j *queue.Job) {
	r := m.next.op(store.Update)
	*r = recordKey(j)
	r.SetTried(j.Failures(), j.Losses())
	r.RunAt = j.RunAt()
}

// done puts the end of a journaled job into the next batch. The lock is held.
func (m *committer) done(j *queue.Job) {
	*m.next.op(store.Done) = recordKey(j)
}

// put keeps an extra with the next batch. The lock is held.
func (m *committer) put(key string, value []byte) {
	m.next.ops = append(m.next.ops, store.Op{Kind: store.Put, Key: key, Value: value})
}

// delete forgets an extra with the next batch. The lock is held.
func (m *committer) delete(key string) {
	m.next.ops = append(m.next.ops, store.Op{Kind: store.Delete, Key: key})
}

// park has c's submission answered once the job is durable. It returns false,
// and leaves the answer to the caller, if nothing of the job is on its way to
// the store. The lock is held.
func (m *committer) park(c *conn, j *queue.Job) bool {
	n, ok := m.batchOf(j)
	if ok {
		m.next.waiting = append(m.next.waiting, submitter{c, c.parked.add(), j, n})
	}
	return ok
}

// then has f called when all that has gathered is settled: at once, with the
// reason, if the store does not answer. The lock is held.
func (m *committer) then(f func(now int64, err error)) {
	if m.stuck != nil {
		f(m.s.readTime(), m.stuck)
		return
	}
	m.next.after = append(m.next.after, follower{m.next.n, f})
}

// thenOf has f called when the job is durable, or is not to be. It returns
// false if nothing of the job is on its way to the store. The lock is held.
func (m *committer) thenOf(j *queue.Job, f func(now int64, err error)) bool {
	n, ok := m.batchOf(j)
	if ok {
		m.next.after = append(m.next.after, follower{n, f})
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

// run commits batches until the server ends, and then what has gathered.
func (m *committer) run() {
	defer m.cancel()
	for {
		select {
		case <-m.work:
		case <-m.s.ended:
			m.last()
			return
		}
		if m.commitAll() == nil {
			continue
		}
		select {
		case <-time.After(retryCommit):
			m.s.mu.Lock()
			m.wake()
			m.s.mu.Unlock()
		case <-m.s.ended:
			m.last()
			return
		}
	}
}

// last commits what has gathered when the server is closed, so that nothing
// is added any more. Who still waits when the store fails is told so.
func (m *committer) last() {
	err := m.commitAll()
	if err == nil {
		return
	}
	m.s.mu.Lock()
	unanswered := m.next.awaited()
	m.s.mu.Unlock()
	if unanswered {
		err = m.commitAll()
	}
	if err != nil {
		m.s.log.Error("what was done last may be done again", "store", m.s.cfg.StoreName, "err", err)
	}
}

// commitAll commits batch after batch until none is left or one fails.
func (m *committer) commitAll() error {
	m.s.mu.Lock()
	some := m.take()
	m.s.mu.Unlock()
	for some {
		var err error
		ops := m.flying.ops
		if len(ops) > 0 {
			err = m.storeBatch(ops)
		}
		if errors.Is(err, store.ErrFull) {
			ops = m.storeRest(ops)
		}
		m.s.mu.Lock()
		b := m.flying
		b.ops = ops
		m.flying, m.busy = batch{}, false
		m.back(err)
		m.settle(&b, err)
		if err == nil {
			b.reset()
			m.spare = b
			some = m.take()
		}
		m.s.endTurnAside()
		if err != nil {
			return err
		}
	}
	return nil
}

// take has what has gathered become the batch that the store gets. It returns
// false if there is nothing. The lock is held.
func (m *committer) take() bool {
	if m.next.empty() {
		return false
	}
	m.flying, m.next, m.spare = m.next, m.spare, batch{}
	m.next.n = m.flying.n + 1
	m.busy = true
	return true
}

// storeBatch hands a batch to the store, for at most Config.StoreTimeout.
func (m *committer) storeBatch(ops []store.Op) error {
	ctx, cancel := context.WithTimeout(m.ctx, m.s.cfg.StoreTimeout)
	defer cancel()
	m.watch.Reset(m.s.cfg.StoreTimeout + hangGrace)
	defer m.watch.Stop()
	return m.store.Commit(ctx, ops)
}

// storeRest hands the store what a batch has beside its Adds, for which there
// was no room: the ends of jobs make some, and would not get there while every
// batch has Adds. It returns what the store has not taken.
func (m *committer) storeRest(ops []store.Op) []store.Op {
	var adds, rest []store.Op
	for _, op := range ops {
		if op.Kind == store.Add {
			adds = append(adds, op)
		} else {
			rest = append(rest, op)
		}
	}
	if len(adds) == 0 || len(rest) == 0 || m.storeBatch(rest) != nil {
		return ops
	}
	return adds
}

// answer tells a submitter what became of its job.
func (w *submitter) answer(err error) {
	if err != nil {
		w.c.answer(w.n, wire.Error, []byte(wire.CodeQueueError), []byte(err.Error()))
		return
	}
	var buf [wire.MaxHandle]byte
	w.c.answer(w.n, wire.JobCreated, w.job.AppendHandle(buf[:0]))
}

// settle tells everybody what became of a batch. The lock is held.
func (m *committer) settle(b *batch, err error) {
	now := m.s.readTime()
	m.noteChange(now, b, err)
	switch {
	case err != nil:
		m.keepRest(b)
	case len(b.ops) > 0:
		m.batches++
		m.batchedOps += uint64(len(b.ops))
	}
	outcome := func(batch uint32) error {
		if batch == b.n {
			return err
		}
		return m.lastErr
	}
	for _, w := range b.waiting {
		w.answer(outcome(w.batch))
	}
	if err == nil {
		for _, d := range b.deaths {
			m.s.q.ReleaseDead(d)
		}
	}
	for _, j := range b.adds {
		m.settled(j)
		if err == nil {
			m.s.q.Release(now, j)
		} else {
			m.abort(now, j)
		}
	}
	for _, a := range b.after {
		a.f(now, outcome(a.batch))
	}
	m.lastErr = err
}

// abort takes a job back that the store does not have. The lock is held.
func (m *committer) abort(now int64, j *queue.Job) {
	j.SetJournaled(false)
	m.s.q.Abort(now, j)
	if j.State() == queue.Ended {
		m.s.results.aborted(j)
	}
}

// noteChange logs that the store has begun or ceased to fail.
func (m *committer) noteChange(now int64, b *batch, err error) {
	if len(b.ops) == 0 {
		return
	}
	m.failing = err
	store := slog.String("store", m.s.cfg.StoreName)
	switch fails, works := m.outage.note(now, b.ops, err); {
	case fails:
		m.s.note(slog.LevelError, "store fails", store, slog.Any("err", err))
	case works:
		m.s.note(slog.LevelInfo, "store works again", store)
	}
}

// keepRest puts what nobody waits for in a failed batch in front of the next: a
// job that has run must not come back because the store was away for a while.
func (m *committer) keepRest(b *batch) {
	if m.next.ops = append(withoutAdds(b.ops), m.next.ops...); len(m.next.ops) > m.tidyFrom {
		m.next.ops = tidy(m.next.ops)
		m.tidyFrom = max(tidyFrom, 2*len(m.next.ops))
	}
	m.next.deaths = append(b.deaths, m.next.deaths...)
}

// tidyFrom is the number of operations from which what is kept for a store
// that is away is looked through for what has been overtaken.
const tidyFrom = 8192

// tidy leaves out what later operations make up for, so that a store that is
// away for long does not cost more than what the server has.
func tidy(ops []store.Op) []store.Op {
	keys := make(map[string]struct{})
	jobs := make(map[uint64]struct{}) // updated or done later on
	kept := len(ops)
	for i, op := range slices.Backward(ops) {
		overtaken := false
		switch op.Kind {
		case store.Put, store.Delete:
			_, overtaken = keys[op.Key]
			keys[op.Key] = struct{}{}
		case store.Update:
			_, overtaken = jobs[op.Record.Seq]
			fallthrough
		case store.Done:
			jobs[op.Record.Seq] = struct{}{}
		}
		if !overtaken {
			kept--
			ops[kept] = ops[i]
		}
	}
	clear(ops[:kept])
	return ops[kept:]
}
