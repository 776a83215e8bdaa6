package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
// one, the next ones gather.
type committer struct {
	s     *Server
	store guarded
	caps  store.Caps
	work  chan struct{} // buffered: there is a batch
	ended chan struct{} // closed when run has returned

	// ctx is the store's. It outlives the server's end by storeGrace.
	ctx    context.Context
	cancel context.CancelFunc

	// Guarded by Server.mu.
	flying   *batch                // in the hands of the store, or nil
	full     []*batch              // complete ones, in order
	next     *batch                // gathers, behind full
	rest     []store.Op            // of failed batches, to be stored before all others
	restAt   time.Time             // when rest is tried again
	deaths   []*queue.Dead         // of failed batches, whose Put is in rest
	odd      map[*queue.Job]*batch // of jobs that are no fresh ones in their batch
	last     uint64                // the highest number of a fresh job
	size     int                   // of the payloads of jobs on their way to the store
	failing  error                 // why the store fails; nil if it works
	outage   outage                // what the log has of that
	reserved uint64                // the number under store.NumberKey
	tries    map[string]int        // failures of single operations, see giveUp

	// Of run's goroutine.
	roomlessSince time.Time // since when a full store has no room for any result; zero if it has
	shortened     int       // results that were replaced by notes and not logged yet

	batches, batchedOps uint64 // that the store has taken

	stuck error        // not nil if the store has had a batch for too long, see hung
	late  []*queue.Job // the jobs of that batch, which were refused

	maxSize  int // maxPending, but for tests
	tidyFrom int // see keepRest

	spare *batch      // room for a later batch
	watch *time.Timer // calls hung
}

// Tags of jobs on their way to the store.
const (
	tagFresh = 1 + iota // its batch is found by its number
	tagOdd              // its batch is in committer.odd
)

func newCommitter(s *Server, st store.Store) *committer {
	ctx, cancel := context.WithCancel(context.Background())
	m := &committer{
		s: s, store: guarded{st}, caps: st.Caps(),
		work: make(chan struct{}, 1), ended: make(chan struct{}), ctx: ctx, cancel: cancel,
		next: &batch{n: 1}, odd: make(map[*queue.Job]*batch), tries: make(map[string]int),
		tidyFrom: tidyFrom, maxSize: maxPending,
	}
	m.watch = time.AfterFunc(time.Hour, m.hung)
	m.watch.Stop()
	return m
}

// makeRoom begins another batch if the one that gathers has no room for
// operations of size bytes that belong together. The lock is held.
func (m *committer) makeRoom(size int) {
	if m.next.hasRoom(size) {
		return
	}
	m.full = append(m.full, m.next)
	m.next = m.newBatch(m.next.n + 1)
}

func (m *committer) newBatch(n uint64) *batch {
	b := m.spare
	if m.spare = nil; b == nil {
		b = new(batch)
	}
	b.n = n
	return b
}

// add puts a job into the next batch. The lock is held.
func (m *committer) add(j *queue.Job) {
	m.makeRoom(opCost + j.Size())
	b := m.next
	r := b.appendRecord(store.Add)
	*r = m.s.q.Record(j)
	r.Apart = r.Apart || m.s.loading // one with its unique may not be read yet
	b.size += opCost + recordSize(r)
	b.adds = append(b.adds, j)
	if seq := j.Seq(); seq > m.last {
		m.last, b.last = seq, seq
		if b.first == 0 {
			b.first = seq
		}
		j.SetTag(tagFresh)
	} else {
		m.odd[j] = b
		j.SetTag(tagOdd)
	}
	m.size += j.Size()
	j.SetJournaled(true)
	if m.s.loading {
		m.s.own.add(j.Seq())
	}
}

// batchOf returns the batch that a job's Add is in, nil if it is in none, or
// that is settled. The lock is held.
func (m *committer) batchOf(j *queue.Job) *batch {
	switch j.Tag() {
	case tagOdd:
		return m.odd[j]
	case tagFresh:
		if m.next.has(j.Seq()) {
			return m.next
		}
		for _, b := range slices.Backward(m.full) {
			if b.has(j.Seq()) {
				return b
			}
		}
		return m.flying
	}
	return nil
}

// endAdd ends what add has begun. The lock is held.
func (m *committer) endAdd(j *queue.Job) {
	if j.Tag() == tagOdd {
		delete(m.odd, j)
	}
	j.SetTag(0)
	m.size -= j.Size()
}

// behind reports whether so much is on its way to the store that those who
// send more have to wait. The lock is held.
func (m *committer) behind() bool { return m.size > m.maxSize }

// update keeps the attempts and the time of a journaled job. The lock is held.
func (m *committer) update(j *queue.Job) {
	m.makeRoom(0)
	r := m.next.appendRecord(store.Update)
	*r = recordKey(j)
	r.SetTried(j.Failures(), j.Losses())
	r.RunAt = j.RunAt()
	m.next.size += opCost + recordSize(r)
}

// done puts the end of a journaled job into the next batch. The lock is held.
func (m *committer) done(j *queue.Job) {
	r := m.next.appendRecord(store.Done)
	*r = recordKey(j)
	m.next.size += opCost + recordSize(r)
}

// put keeps an extra with the next batch, or a note of it if it is too large
// for the store. The lock is held.
func (m *committer) put(key string, value []byte) {
	op := store.Op{Kind: store.Put, Key: key, Value: value}
	if err := m.checkExtra(&op); err != nil {
		m.logLeftOut(&op, err)
		return
	}
	m.next.size += opSize(&op)
	m.next.ops = append(m.next.ops, op)
}

// delete forgets an extra with the next batch. The lock is held.
func (m *committer) delete(key string) {
	op := store.Op{Kind: store.Delete, Key: key}
	m.next.size += opSize(&op)
	m.next.ops = append(m.next.ops, op)
}

// position is a place in the sequence of all operations.
type position struct {
	batch uint64
	ops   int
}

// position returns the place of the next operation, so that two calls tell
// whether something has been added. Without a store it is always the same. The
// lock is held.
func (m *committer) position() (at position) {
	if m != nil {
		at = position{m.next.n, len(m.next.ops)}
	}
	return at
}

// park has c's submission answered once the job is durable. It returns false,
// and leaves the answer to the caller, if nothing of the job is on its way to
// the store. The lock is held.
func (m *committer) park(c *conn, j *queue.Job) bool {
	b := m.batchOf(j)
	if b == nil {
		return false
	}
	b.waiting = append(b.waiting, submitter{c, c.parked.add(), j})
	if c.committing == 0 || c.lastBatch.n < b.n {
		c.lastBatch = b
	}
	c.committing++
	return true
}

// ride has a held foreground job become ready with the last batch that has a
// job of c's. The lock is held.
func (m *committer) ride(c *conn, j *queue.Job) {
	b := c.lastBatch
	b.riders = append(b.riders, rider{j, len(b.adds)})
}

// then has f called when all that has gathered is settled: at once, with the
// reason, if the store does not answer. The lock is held.
func (m *committer) then(f func(now int64, err error)) {
	if m.stuck != nil {
		f(m.s.readTime(), m.stuck)
		return
	}
	m.next.after = append(m.next.after, follower{f: f})
}

// thenStored is then for an f that depends on the operations that have been
// added since a position. The lock is held.
func (m *committer) thenStored(since position, f func(now int64, err error)) {
	if m.stuck == nil {
		m.next.after = append(m.next.after, follower{ops: m.namesSince(since), f: f})
		return
	}
	f(m.s.readTime(), m.stuck)
}

// namesSince returns the names of the operations since a position. Those in
// batches before the last one are left out: they are stored before it.
func (m *committer) namesSince(since position) (names []string) {
	ops := m.next.ops
	if since.batch == m.next.n {
		ops = ops[since.ops:]
	}
	for i := range ops {
		names = append(names, opName(&ops[i]))
	}
	return names
}

// thenOf has f called when the job is durable, or is not to be. It returns
// false if nothing of the job is on its way to the store. The lock is held.
func (m *committer) thenOf(j *queue.Job, f func(now int64, err error)) bool {
	b := m.batchOf(j)
	if b != nil {
		b.after = append(b.after, follower{job: j, f: f})
	}
	return b != nil
}

// idle reports whether there is nothing to store. The lock is held.
func (m *committer) idle() bool { return len(m.rest) == 0 && len(m.full) == 0 && m.next.empty() }

// wake tells run that there is something. The lock is held.
func (m *committer) wake() {
	if m.idle() {
		return
	}
	select {
	case m.work <- struct{}{}:
	default:
	}
}

// run commits batches until the server ends, and then what has gathered.
func (m *committer) run() {
	defer close(m.ended)
	defer m.cancel()
	for {
		select {
		case <-m.work:
		case <-m.s.ended:
			m.commitLast()
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
			m.commitLast()
			return
		}
	}
}

// stop waits until run has ended, after the server was closed: for storeGrace,
// and a moment for the store to notice that its time is over. Then everything
// that waits for the store is refused.
func (m *committer) stop() {
	if waitFor(m.ended, storeGrace) {
		return
	}
	m.cancel()
	if waitFor(m.ended, hangGrace) {
		return
	}
	m.s.mu.Lock()
	defer m.s.endTurn(nil)
	now := m.s.readTime()
	err := fmt.Errorf("store %s does not answer: %w", m.s.cfg.StoreName, ErrClosed)
	if m.flying != nil && m.stuck == nil {
		m.stuck = err
		m.refuse(now, m.flying, err)
	}
	m.refusePending(now, err)
}

// commitLast commits the pending batch when the server is closed, so that
// nothing is added any more. Who still waits when the store fails is told so.
func (m *committer) commitLast() {
	m.s.mu.Lock()
	m.restAt = time.Time{} // there is no later try
	m.s.mu.Unlock()
	err := m.commitAll()
	for err != nil && m.ctx.Err() == nil && m.isAwaited() {
		err = m.commitAll()
	}
	m.s.mu.Lock()
	defer m.s.endTurn(nil)
	if left := len(m.rest); left > 0 {
		err = cmp.Or(err, m.failing)
		m.s.note(slog.LevelError, "what was done last may be done again",
			slog.String("store", m.s.cfg.StoreName), slog.Int("operations", left), slog.Any("err", err))
	}
	m.refusePending(m.s.readTime(), ErrClosed)
}

// isAwaited reports whether anybody waits for a batch that gathers.
func (m *committer) isAwaited() bool {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	return m.next.awaited() || slices.ContainsFunc(m.full, (*batch).awaited)
}

// commitAll commits batch after batch until none is left or the store fails.
func (m *committer) commitAll() error {
	m.s.mu.Lock()
	b := m.startBatch()
	m.s.mu.Unlock()
	for b != nil {
		var errs []error
		var err error
		if len(b.ops) > 0 {
			errs, err = m.storeBatch(b.ops)
		}
		m.s.mu.Lock()
		m.flying = nil
		m.answersAgain(err)
		m.settle(b, errs, err)
		switch {
		case err == nil:
			if errs == nil {
				b.reset()
				m.spare = b
			}
			b = m.startBatch()
		case b.isRest() && errors.Is(err, store.ErrFull):
			b, err = m.startBatch(), nil // there may be room for what has gathered
		}
		if b == nil && len(m.rest) > 0 {
			err = errPaused
		}
		m.s.endTurnAside()
		if err != nil {
			return err
		}
	}
	return nil
}

// errPaused has run wait before it tries the rest again.
var errPaused = errors.New("some operations are tried again")

// startBatch makes the oldest operations the batch in flight, and returns it,
// nil if there are none. The lock is held.
func (m *committer) startBatch() *batch {
	if m.idle() {
		return nil
	}
	due := len(m.rest) > 0 && !time.Now().Before(m.restAt)
	if due && m.restIsApart() {
		if errors.Is(m.failing, store.ErrFull) {
			m.rest = endsFirst(tidy(m.rest))
		}
		fit := countThatFit(m.rest)
		m.flying = &batch{ops: slices.Clone(m.rest[:fit])}
		m.rest = m.rest[fit:]
		return m.flying
	}
	var b *batch
	switch {
	case len(m.full) > 0:
		b = m.full[0]
		m.full = slices.Delete(m.full, 0, 1)
	case !m.next.empty() || due:
		b, m.next = m.next, m.newBatch(m.next.n+1)
	default:
		return nil
	}
	if due {
		b.ops = tidy(append(m.rest, b.ops...))
		b.deaths = append(m.deaths, b.deaths...)
		m.rest, m.deaths = nil, nil
	} else if len(m.rest) > 0 {
		m.rest = withoutOvertaken(m.rest, b.ops)
	}
	m.flying = b
	return b
}

// restIsApart reports whether the rest is stored in batches of its own: it is
// too much to be stored with others, or one of its operations is suspected to
// be one that the store never takes. The lock is held.
func (m *committer) restIsApart() bool {
	return len(m.rest) > 0 && (len(m.tries) > 0 || countThatFit(m.rest) < len(m.rest))
}

// withoutOvertaken returns rest without the operations that those of a batch
// make up for, which is stored before.
func withoutOvertaken(rest, ops []store.Op) []store.Op {
	keys, jobs := make(map[string]bool), make(map[uint64]bool)
	for i := range ops {
		if r := ops[i].Record; r != nil {
			jobs[r.Seq] = true
		} else {
			keys[ops[i].Key] = true
		}
	}
	return slices.DeleteFunc(rest, func(op store.Op) bool {
		if op.Record != nil {
			return jobs[op.Record.Seq]
		}
		return keys[op.Key]
	})
}

// answer tells a submitter what became of its job. The lock is held.
func (w *submitter) answer(err error) {
	w.c.committing--
	if err != nil {
		w.c.answer(w.n, wire.Error, []byte(wire.CodeQueueError), []byte(err.Error()))
		return
	}
	var buf [wire.MaxHandle]byte
	w.c.answer(w.n, wire.JobCreated, w.job.AppendHandle(buf[:0]))
}

// settle tells everybody what became of a batch: errs has an entry for each
// operation, or is nil if the store has taken all; err is set if the store
// fails as such. The lock is held.
func (m *committer) settle(b *batch, errs []error, err error) {
	now := m.s.readTime()
	m.noteChange(now, b.ops, err)
	f := failuresOf(b, errs, err)
	switch {
	case errs != nil:
		m.keepRest(b, errs)
	case len(b.ops) > 0:
		m.batches++
		m.batchedOps += uint64(len(b.ops))
	}
	if errs == nil {
		m.releaseDeaths(b)
	} else {
		m.caps = m.store.Caps() // it may be another server now
	}
	if len(m.rest) == 0 {
		clear(m.tries)
		m.roomlessSince = time.Time{}
	} else {
		m.restAt = time.Now().Add(retryCommit)
	}
	m.tellAll(now, b, f)
	if err != nil && !errors.Is(err, store.ErrFull) && m.restIsApart() {
		m.refusePending(now, err) // nothing is stored before the rest is
	}
}

// tellAll answers all who wait for a batch, and lets its jobs go. The lock is
// held.
func (m *committer) tellAll(now int64, b *batch, f *failures) {
	for i := range b.waiting {
		b.waiting[i].answer(f.of(b.waiting[i].job))
	}
	riders := b.riders
	for i, j := range b.adds {
		for ; len(riders) > 0 && riders[0].at <= i; riders = riders[1:] {
			m.s.q.ReleaseUnkept(now, riders[0].job)
		}
		m.endAdd(j)
		if f.of(j) == nil {
			m.s.q.Release(now, j)
		} else {
			m.abort(now, j)
		}
	}
	for _, r := range riders {
		m.s.q.ReleaseUnkept(now, r.job)
	}
	for _, a := range b.after {
		a.f(now, f.ofFollower(&a))
	}
}

// failures are the errors of a batch.
type failures struct {
	store error // not nil if the store fails as such
	jobs  map[*queue.Job]error
	ops   map[string]error // of others than Adds, by name
}

// of returns why a job is not stored, nil if it is.
func (f *failures) of(j *queue.Job) error { return f.jobs[j] }

func (f *failures) ofFollower(a *follower) error {
	if a.job != nil {
		return f.of(a.job)
	}
	if len(f.ops) > 0 {
		for _, name := range a.ops {
			if err := f.ops[name]; err != nil {
				return err
			}
		}
	}
	return f.store
}

func failuresOf(b *batch, errs []error, err error) *failures {
	if errs == nil {
		return new(failures)
	}
	f := &failures{store: err, jobs: make(map[*queue.Job]error), ops: make(map[string]error)}
	n := 0
	for i := range b.ops {
		switch op := &b.ops[i]; {
		case op.Kind != store.Add:
			if errs[i] != nil {
				f.ops[opName(op)] = errs[i]
			}
		case n < len(b.adds): // else they were refused before
			if errs[i] != nil {
				f.jobs[b.adds[n]] = errs[i]
			}
			n++
		}
	}
	return f
}

// releaseDeaths tells the queue which dead jobs the store has. The lock is
// held.
func (m *committer) releaseDeaths(b *batch) {
	for _, d := range b.deaths {
		m.s.q.ReleaseDead(d)
	}
	if len(m.rest) == 0 {
		for _, d := range m.deaths {
			m.s.q.ReleaseDead(d)
		}
		m.deaths = nil
	}
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
func (m *committer) noteChange(now int64, ops []store.Op, err error) {
	if len(ops) == 0 {
		return
	}
	m.failing = err
	store := slog.String("store", m.s.cfg.StoreName)
	switch fails, works := m.outage.note(now, ops, err); {
	case fails:
		m.s.note(slog.LevelError, "store fails", store, slog.Any("err", err))
	case works:
		m.s.note(slog.LevelInfo, "store works again", store)
	}
}

// keepRest keeps the operations of a failed batch that nobody waits for, to be
// stored before all others: a job that has run must not come back because the
// store was away for a while.
func (m *committer) keepRest(b *batch, errs []error) {
	var kept []store.Op
	for i := range b.ops {
		if op := b.ops[i]; errs[i] != nil && op.Kind != store.Add && m.mayKeep(&op, errs[i]) {
			kept = append(kept, op)
		}
	}
	m.logRoomless()
	if m.rest = append(kept, m.rest...); len(m.rest) > m.tidyFrom {
		m.rest = tidy(m.rest)
		m.tidyFrom = max(tidyFrom, 2*len(m.rest))
	}
	m.deaths = append(b.deaths, m.deaths...)
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
