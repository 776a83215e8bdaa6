package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gm/pkg/store"
)

const (
	// retryCommit is the wait between a failed batch and the next try.
	retryCommit = 100 * time.Millisecond
	// storeGrace is how long a store may take for the pending operations when
	// the journal is stopped.
	storeGrace = 10 * time.Second
)

// journal commits operations to a store, in their order, one batch at a time.
// While the store works on one batch, the next ones gather. The journal knows
// operations and extras; it does not know connections or queued jobs. C is the
// type of its owner's completion values: a completion is attached to a batch and
// given back once, together with the outcome of that batch.
//
// A batch is bounded in operations and bytes. A batch that the store refuses is
// split (journal_split.go). If the store hangs, all completions are given back
// with an error until it answers (journal_hang.go). The operations of a failed
// batch that are no Adds are kept and retried (journal_rest.go).
//
// The journal has no lock of its own: mu belongs to its owner and guards all
// fields that are not constant. The store works without the lock.
type journal[C any] struct {
	// Constant.
	owner  journalOwner[C]
	mu     *sync.Mutex
	store  guarded
	name   string          // of the store, for errors and the log
	limit  time.Duration   // of one Commit
	quit   <-chan struct{} // closed by the owner before stopCommits: nothing is added any more
	work   chan struct{}   // buffered: there is a batch
	ended  chan struct{}   // closed when runCommits has returned
	ctx    context.Context // of Commit; it outlives quit by storeGrace
	cancel context.CancelFunc
	watch  *time.Timer // calls hung

	// Guarded by mu.
	caps     store.Caps
	flying   *batch[C]            // the store works on it, or nil
	full     []*batch[C]          // complete batches, in order
	next     *batch[C]            // gathers, behind full
	rest     []store.Op           // of failed batches, to be stored before all others
	restAt   time.Time            // when rest is tried again
	lasting  []lasting[C]         // of failed batches, see attachLasting
	odd      map[uint64]*batch[C] // of Adds whose numbers do not grow, by number
	last     uint64               // the highest number of an Add
	failing  error                // why the store fails; nil if it works
	outage   outage               // the state of failing in the log
	tries    map[string]int       // failures of single operations, see giveUp
	tidyFrom int                  // see keepRest
	spare    *batch[C]            // room for a later batch

	stuck error // not nil if the store has had a batch for too long, see hung
	late  bool  // the Adds of that batch must be undone if the store takes them

	batches, batchedOps uint64 // stored

	// Used only by the goroutine of runCommits.
	roomlessSince time.Time // when a full store began to have no room for any result; zero if it has room
	shortened     int       // results that were replaced by notes and not logged yet
}

// journalOwner is the part of its owner that a journal calls.
type journalOwner[C any] interface {
	// complete gives back the completions of a batch, in the order in which they
	// were attached. The lock is held.
	complete(done []C, out *outcome)
	// completeLasting gives back lasting completions: their extras are stored.
	// The lock is held.
	completeLasting(done []C)
	// readTime returns the time in milliseconds. The lock is held.
	readTime() int64
	// logAfterTurn logs a line. The lock is held.
	logAfterTurn(level slog.Level, msg string, attrs ...slog.Attr)
	// endTurn and endTurnAside unlock and then do the work that completions have
	// left; endTurnAside leaves work that may take long to another goroutine.
	endTurn()
	endTurnAside()

	// The methods below need no lock.

	// shorten replaces the value of a Put by a note without its bytes. It returns
	// false if there is no shorter note.
	shorten(op *store.Op) bool
	// isResult reports whether an operation puts a result. In a full store
	// results wait for room longest, and are shortened in the end.
	isResult(op *store.Op) bool
	// heirKey returns the key of the extra into which a job may turn at its end.
	// A Put of that key and the Done of the job are never stored apart.
	heirKey(seq uint64) string
}

// journalConfig is the constant part of a journal.
type journalConfig[C any] struct {
	owner journalOwner[C]
	mu    *sync.Mutex // the lock of the owner
	store store.Store
	name  string          // of the store, for errors and the log
	limit time.Duration   // of one Commit
	quit  <-chan struct{} // closed when nothing is added any more
}

// newJournal returns a journal whose runCommits must be called in a goroutine.
func newJournal[C any](cfg journalConfig[C]) *journal[C] {
	ctx, cancel := context.WithCancel(context.Background())
	j := &journal[C]{
		owner: cfg.owner, mu: cfg.mu, store: guarded{cfg.store}, name: cfg.name, limit: cfg.limit, quit: cfg.quit,
		work: make(chan struct{}, 1), ended: make(chan struct{}), ctx: ctx, cancel: cancel,
		caps: cfg.store.Caps(), next: &batch[C]{n: 1},
		odd: make(map[uint64]*batch[C]), tries: make(map[string]int), tidyFrom: tidyFrom,
	}
	j.watch = time.AfterFunc(time.Hour, j.refuseHung)
	j.watch.Stop()
	return j
}

// makeRoom begins another batch if the gathering one has no room for operations
// of size bytes that must be stored together. The lock is held.
func (j *journal[C]) makeRoom(size int) {
	if j.next.hasRoom(size) {
		return
	}
	j.full = append(j.full, j.next)
	j.next = j.newBatch(j.next.n + 1)
}

func (j *journal[C]) newBatch(n uint64) *batch[C] {
	b := j.spare
	if j.spare = nil; b == nil {
		b = new(batch[C])
	}
	b.n = n
	return b
}

// appendAdd appends the Add of a record and a completion to the gathering batch.
// The lock is held.
func (j *journal[C]) appendAdd(r *store.Record, done C) {
	b := j.next
	b.appendRecord(store.Add, r)
	b.done = append(b.done, done)
	if r.Seq > j.last {
		j.last, b.last = r.Seq, r.Seq
		if b.first == 0 {
			b.first = r.Seq
		}
	} else {
		j.odd[r.Seq] = b
	}
}

// appendRecord appends an Update or a Done to the gathering batch. The lock is
// held.
func (j *journal[C]) appendRecord(kind store.Kind, r *store.Record) {
	j.next.appendRecord(kind, r)
}

// put appends the Put of an extra to the gathering batch, or that of a note if
// the value is too large for the store. The lock is held.
func (j *journal[C]) put(key string, value []byte) {
	op := store.Op{Kind: store.Put, Key: key, Value: value}
	if err := j.checkExtra(&op); err != nil {
		j.logLeftOut(&op, err)
		return
	}
	j.next.appendOp(op)
}

// checkExtra returns an error for a Put that the store can never take. It
// shortens a value that is too large.
func (j *journal[C]) checkExtra(op *store.Op) error {
	err := j.caps.Refusal(op)
	if err == nil || !j.owner.shorten(op) {
		return err
	}
	j.logShortened(op, err)
	return j.caps.Refusal(op)
}

// delete appends the Delete of an extra to the gathering batch. The lock is held.
func (j *journal[C]) delete(key string) {
	j.next.appendOp(store.Op{Kind: store.Delete, Key: key})
}

// attach attaches a completion to the gathering batch. The lock is held.
func (j *journal[C]) attach(done C) { j.next.done = append(j.next.done, done) }

// batchOfAdd returns the batch with the pending Add of that number. The caller
// knows that the Add is pending. The lock is held.
func (j *journal[C]) batchOfAdd(seq uint64) *batch[C] {
	if len(j.odd) > 0 {
		if b := j.odd[seq]; b != nil {
			return b
		}
	}
	if j.next.hasAdd(seq) {
		return j.next
	}
	for _, b := range slices.Backward(j.full) {
		if b.hasAdd(seq) {
			return b
		}
	}
	return j.flying
}

// pendingBatch returns the batch with that number, which is not settled yet; if
// it is, pendingBatch returns the gathering batch. The lock is held.
func (j *journal[C]) pendingBatch(n uint64) *batch[C] {
	for _, b := range slices.Backward(j.full) {
		if b.n == n {
			return b
		}
	}
	if j.flying != nil && j.flying.n == n {
		return j.flying
	}
	return j.next
}

// position is a place in the sequence of all operations.
type position struct {
	batch uint64
	ops   int
}

// position returns the place of the next operation. Two calls return the same
// place if nothing was added in between. The lock is held.
func (j *journal[C]) position() position { return position{j.next.n, len(j.next.ops)} }

// namesSince returns the names of the operations since a position. It leaves out
// those in batches before the gathering one, which are stored before it.
func (j *journal[C]) namesSince(since position) (names []string) {
	ops := j.next.ops
	if since.batch == j.next.n {
		ops = ops[since.ops:]
	}
	for i := range ops {
		names = append(names, opName(&ops[i]))
	}
	return names
}

// idle reports whether there is nothing to store. The lock is held.
func (j *journal[C]) idle() bool { return len(j.rest) == 0 && len(j.full) == 0 && j.next.isEmpty() }

// wakeRun makes runCommits commit the pending batches. The lock is held.
func (j *journal[C]) wakeRun() {
	if j.idle() {
		return
	}
	select {
	case j.work <- struct{}{}:
	default:
	}
}

// runCommits commits batches until quit is closed, and then the pending ones.
func (j *journal[C]) runCommits() {
	defer close(j.ended)
	defer j.cancel()
	for {
		select {
		case <-j.work:
		case <-j.quit:
			j.commitLast()
			return
		}
		if j.commitAll() == nil {
			continue
		}
		select {
		case <-time.After(retryCommit):
			j.mu.Lock()
			j.wakeRun()
			j.mu.Unlock()
		case <-j.quit:
			j.commitLast()
			return
		}
	}
}

// stopCommits waits until runCommits has returned, after quit was closed: for storeGrace, and
// hangGrace for the store to notice that its time is over. Then it refuses all
// pending operations.
func (j *journal[C]) stopCommits() {
	if waitFor(j.ended, storeGrace) {
		return
	}
	j.cancel()
	if waitFor(j.ended, hangGrace) {
		return
	}
	j.mu.Lock()
	defer j.owner.endTurn()
	now := j.owner.readTime()
	err := fmt.Errorf("store %s does not answer: %w", j.name, ErrClosed)
	if j.flying != nil && j.stuck == nil {
		j.stuck = err
		j.refuseBatch(now, j.flying, err)
	}
	j.refusePending(now, err)
}

// commitLast commits the pending batches after quit was closed. If the store
// fails, it refuses them.
func (j *journal[C]) commitLast() {
	j.mu.Lock()
	j.restAt = time.Time{} // there is no later try
	j.mu.Unlock()
	err := j.commitAll()
	for err != nil && j.ctx.Err() == nil && j.isAwaited() {
		err = j.commitAll()
	}
	j.mu.Lock()
	defer j.owner.endTurn()
	if left := len(j.rest); left > 0 {
		err = cmp.Or(err, j.failing)
		j.owner.logAfterTurn(slog.LevelError, "the store does not have the last changes; ended jobs may run again",
			slog.String("store", j.name), slog.Int("operations", left), slog.Any("err", err))
	}
	j.refusePending(j.owner.readTime(), ErrClosed)
}

// isAwaited reports whether a pending batch has completions.
func (j *journal[C]) isAwaited() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next.isAwaited() || slices.ContainsFunc(j.full, (*batch[C]).isAwaited)
}

// commitAll commits batch after batch until none is left or the store fails.
func (j *journal[C]) commitAll() error {
	j.mu.Lock()
	b := j.startBatch()
	j.mu.Unlock()
	for b != nil {
		var errs []error
		var err error
		if len(b.ops) > 0 {
			errs, err = j.storeBatch(b.ops)
		}
		j.mu.Lock()
		j.flying = nil
		j.answersAgain(b, err)
		j.settleBatch(b, errs, err)
		switch {
		case err == nil:
			if errs == nil {
				b.reset()
				j.spare = b
			}
			b = j.startBatch()
		case b.isRest() && errors.Is(err, store.ErrFull):
			b, err = j.startBatch(), nil // there may be room for the pending ones
		}
		if b == nil && len(j.rest) > 0 {
			err = errPaused
		}
		j.owner.endTurnAside()
		if err != nil {
			return err
		}
	}
	return nil
}

// errPaused makes runCommits wait before it tries the rest again.
var errPaused = errors.New("some operations are tried again")

// startBatch makes the oldest operations the batch in flight, and returns it,
// nil if there are none. The lock is held.
func (j *journal[C]) startBatch() *batch[C] {
	if j.idle() {
		return nil
	}
	due := len(j.rest) > 0 && !time.Now().Before(j.restAt)
	if due && j.restIsApart() {
		if errors.Is(j.failing, store.ErrFull) {
			j.rest = endsFirst(tidy(j.rest), j.owner.heirKey)
		}
		fit := countWithPairs(j.rest, j.owner.heirKey)
		j.flying = &batch[C]{ops: slices.Clone(j.rest[:fit])}
		j.rest = j.rest[fit:]
		return j.flying
	}
	var b *batch[C]
	switch {
	case len(j.full) > 0:
		b = j.full[0]
		j.full = slices.Delete(j.full, 0, 1)
	case !j.next.isEmpty() || due:
		b, j.next = j.next, j.newBatch(j.next.n+1)
	default:
		return nil
	}
	if due {
		b.ops = tidy(append(j.rest, b.ops...))
		b.lasting = append(j.lasting, b.lasting...)
		j.rest, j.lasting = nil, nil
	} else if len(j.rest) > 0 {
		j.rest = withoutOvertaken(j.rest, b.ops)
	}
	j.flying = b
	return b
}

// settleBatch ends a batch: errs has an entry for each operation, or is nil if the
// store has taken all; err is set if the store fails as such. The lock is held.
func (j *journal[C]) settleBatch(b *batch[C], errs []error, err error) {
	now := j.owner.readTime()
	j.noteChange(now, b.ops, err)
	out := newOutcome(now, b.ops, errs, err)
	switch {
	case errs != nil:
		j.keepRest(b, errs)
	case len(b.ops) > 0:
		j.batches++
		j.batchedOps += uint64(len(b.ops))
	}
	if errs == nil {
		j.giveLasting(b.lasting)
	} else {
		j.caps = j.store.Caps() // it may be another server now
	}
	if errs != nil || b.isRest() || len(j.rest) == 0 {
		j.completeLasting()
	}
	if len(j.rest) == 0 {
		clear(j.tries)
		j.roomlessSince = time.Time{}
	} else {
		j.restAt = time.Now().Add(retryCommit)
	}
	j.complete(b, out)
	if err != nil && !errors.Is(err, store.ErrFull) && j.restIsApart() {
		j.refusePending(now, err) // nothing is stored before the rest is
	}
}

// complete gives the completions of a batch back. Its Adds are not pending any
// more. The lock is held.
func (j *journal[C]) complete(b *batch[C], out *outcome) {
	for seq, of := range j.odd {
		if of == b {
			delete(j.odd, seq)
		}
	}
	j.owner.complete(b.done, out)
}

// noteChange logs that the store has begun or ceased to fail. The lock is held.
func (j *journal[C]) noteChange(now int64, ops []store.Op, err error) {
	if len(ops) == 0 {
		return
	}
	j.failing = err
	store := slog.String("store", j.name)
	switch fails, works := j.outage.noteOutage(now, ops, err); {
	case fails:
		j.owner.logAfterTurn(slog.LevelError, "store fails", store, slog.Any("err", err))
	case works:
		j.owner.logAfterTurn(slog.LevelInfo, "store works again", store)
	}
}
