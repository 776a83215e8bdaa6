package queue

import (
	"fmt"
	"math"

	"gm/pkg/store"
	"gm/pkg/wire"
)

// DeadLetter is a background job that ended Failed or Exhausted and was not
// cancelled. The queue retains it for inspection and for a retry by hand. The
// caller must not change a DeadLetter that the queue has received or returned.
type DeadLetter struct {
	// Record is the last state of the job in the journal, with all its
	// attempts. The payload is nil if the job is Spilled.
	Record  store.Record
	Spilled bool   // the payload is only in the journal
	Size    int    // length of the payload
	Reason  Reason // Failed or Exhausted
	Error   string // the last error text
	Started int64  // time when its last worker got it, in Unix milliseconds
	Died    int64  // time of its end, in Unix milliseconds

	function *Function
	stored   bool // the journal has it
	links    [2]struct{ next, prev *DeadLetter }
}

// Attempts returns the number of attempts that did not complete.
func (d *DeadLetter) Attempts() int {
	failures, losses := d.Record.Tried()
	return failures + losses
}

// Priority returns the priority of the job.
func (d *DeadLetter) Priority() wire.Priority { return rank(d.Record.Priority).priority() }

// Function returns the job's function.
func (d *DeadLetter) Function() *Function { return d.function }

// Handle returns the job's handle, H:<host>:<seq>, which the job keeps in a retry.
func (d *DeadLetter) Handle() string { return string(d.AppendHandle(nil)) }

// AppendHandle appends the handle.
func (d *DeadLetter) AppendHandle(dst []byte) []byte {
	return d.function.queue.appendHandle(dst, d.Record.Seq)
}

// cost returns the bytes that d counts against Config.Memory.
func (d *DeadLetter) cost() int64 {
	if d.Spilled {
		return 0
	}
	return int64(len(d.Record.Payload) + len(d.Record.Unique) + len(d.Record.Reducer) + len(d.Error))
}

// retainDead makes j, which is about to leave the queue, a dead letter. It
// returns nil if the end of j leaves none.
func (q *Queue) retainDead(j *Job, why Reason) *DeadLetter {
	if q.cfg.DeadMax <= 0 || why != Failed && why != Exhausted || !j.is(background) || j.is(cancelled) {
		return nil
	}
	d := &DeadLetter{
		Record: q.Record(j), Spilled: j.is(spilled), Size: j.Size(), Reason: why, Error: j.Note(),
		Started: j.Started() + q.wall, Died: q.Wall(), function: j.function,
	}
	q.insertDead(d, q.dead.tail, d.function.dead.tail)
	if q.deadSink != nil {
		q.deadSink.DeadRetained(d, j)
	}
	return d
}

// insertDead inserts d into the list of all dead letters behind before, and into
// its function's list behind ofSame; nil means the head.
func (q *Queue) insertDead(d, before, ofSame *DeadLetter) {
	q.deadBySeq[d.Record.Seq] = d
	q.dead.insertLetter(d, before, ofAll)
	d.function.dead.insertLetter(d, ofSame, ofFunction)
	q.memory.bytes += d.cost()
	q.memory.dead += d.cost()
	if !d.stored {
		q.countUnstored(d.cost())
	}
}

// insertDeadByDate inserts d into the lists behind those that died before it.
func (q *Queue) insertDeadByDate(d *DeadLetter) {
	q.insertDead(d, q.dead.lastBefore(d.Died, ofAll), d.function.dead.lastBefore(d.Died, ofFunction))
}

// removeDead removes d from the lists.
func (q *Queue) removeDead(d *DeadLetter) {
	delete(q.deadBySeq, d.Record.Seq)
	q.dead.removeLetter(d, ofAll)
	d.function.dead.removeLetter(d, ofFunction)
	q.memory.bytes -= d.cost()
	q.memory.dead -= d.cost()
	if !d.stored {
		q.countUnstored(-d.cost())
	}
}

// dropExcessDead drops the oldest dead letters of f beyond DeadMax. If payloads
// cannot be spilled, it also drops the oldest of all functions beyond a quarter
// of the memory.
func (q *Queue) dropExcessDead(f *Function) {
	for f.dead.n > max(q.cfg.DeadMax, 0) {
		q.DropDeadLetter(f.dead.head)
	}
	for !q.cfg.Spill && q.memory.dead > q.memory.maxDead {
		q.DropDeadLetter(q.dead.head)
	}
}

// dropExpiredDead drops the dead letters that are older than DeadAge.
func (q *Queue) dropExpiredDead() {
	if q.cfg.DeadAge <= 0 {
		return
	}
	for range maxDue {
		d := q.dead.head
		if d == nil || d.Died+q.cfg.DeadAge > q.Wall() {
			return
		}
		q.DropDeadLetter(d)
	}
}

// DropDeadLetter forgets d. It does nothing if d is no dead letter any more.
func (q *Queue) DropDeadLetter(d *DeadLetter) {
	if q.deadBySeq[d.Record.Seq] != d {
		return
	}
	q.removeDead(d)
	if q.deadSink != nil {
		q.deadSink.DeadDropped(d)
	}
}

// LookupDeadLetter returns the dead letter with that handle, or nil.
func (q *Queue) LookupDeadLetter(handle []byte) *DeadLetter {
	seq, ok := q.Number(handle)
	if !ok {
		return nil
	}
	return q.deadBySeq[seq]
}

// DeadLetterBySeq returns the dead letter with that number, or nil.
func (q *Queue) DeadLetterBySeq(seq uint64) *DeadLetter { return q.deadBySeq[seq] }

// DeadLetters calls yield for each dead letter of a function, or of all functions
// if function is empty, in the order of their deaths, until it returns false.
// yield must not change the queue.
func (q *Queue) DeadLetters(function string, yield func(*DeadLetter) bool) {
	q.DeadLettersAfter(function, nil, math.MaxInt, yield)
}

// DeadLettersAfter calls yield for up to most dead letters of a function, or of
// all functions if function is empty, until yield returns false. It begins after
// the dead letter after, or with the oldest if after is nil. It returns the one
// to continue from, and whether there may be more. yield must not change the
// queue. Between two calls the queue may change, and after may have been
// dropped.
func (q *Queue) DeadLettersAfter(function string, after *DeadLetter, most int, yield func(*DeadLetter) bool) (last *DeadLetter, more bool) {
	list, which := &q.dead, ofAll
	if function != "" {
		f := q.functions.byName[function]
		if f == nil {
			return nil, false
		}
		list, which = &f.dead, ofFunction
	}
	d := list.head
	if after != nil {
		d = after.links[which].next
	}
	for ; d != nil; d = d.links[which].next {
		if most <= 0 {
			return after, true
		}
		most--
		after = d
		if q.deadBySeq[d.Record.Seq] == d && !yield(d) {
			return after, true
		}
	}
	return after, false
}

// ReleaseDeadLetter reports to the queue that the journal has d. If memory is
// short, the queue drops the payload.
func (q *Queue) ReleaseDeadLetter(d *DeadLetter) {
	if q.deadBySeq[d.Record.Seq] == d {
		if !d.stored {
			q.countUnstored(-d.cost())
		}
		d.stored = true
		q.spillDeadIfNeeded(d)
	}
	d.stored = true
}

// spillDeadIfNeeded drops the payload of d if memory is short and the journal
// has it.
func (q *Queue) spillDeadIfNeeded(d *DeadLetter) {
	needed := q.memory.dead > q.memory.maxDead || q.memory.bytes > q.memory.waitMark
	if !needed || !q.cfg.Spill || !d.stored || d.Spilled || d.Size == 0 {
		return
	}
	q.memory.bytes -= d.cost()
	q.memory.dead -= d.cost()
	d.Record.Payload, d.Spilled = nil, true
}

// RestoreDeadLetter adds a dead letter from the journal, given by the exported
// fields of d, and takes over d. The queue may drop it at once if it has enough
// younger ones. It takes one step if d is the youngest, otherwise a step for
// each younger one.
func (q *Queue) RestoreDeadLetter(now int64, d *DeadLetter) error {
	q.now = now
	if err := q.checkRestored(&d.Record); err != nil {
		return fmt.Errorf("restore dead job %d: %w", d.Record.Seq, err)
	}
	if !d.Spilled {
		d.Size = len(d.Record.Payload)
	}
	d.function, d.stored = q.functionOrNew([]byte(d.Record.Function)), true
	q.insertDeadByDate(d)
	q.spillDeadIfNeeded(d)
	q.dropExcessDead(d.function)
	return nil
}

// RetryDeadLetter makes d a background job again, with its number and handle, but
// without its attempts and its time. hold means the same as Hold in a Submission;
// Abort makes a held job a dead letter again. If d is Spilled, so is the job, and
// it must be Loaded before the journal can have it.
//
// If another job has the same unique and was not cancelled, RetryDeadLetter drops
// d and returns the other job, as Submit does. It returns ErrFull if the
// function's limit is reached, and ErrNotDead if d is no dead letter any more.
func (q *Queue) RetryDeadLetter(now int64, d *DeadLetter, hold bool) (Submitted, error) {
	q.now = now
	if q.deadBySeq[d.Record.Seq] != d {
		return Submitted{}, ErrNotDead
	}
	f := d.function
	if j := q.findUnique(f, []byte(d.Record.Unique), d.Record.Payload); j != nil {
		f.counters.coalesced++
		promoted := q.joinJob(j, &Submission{Background: true, Hold: hold})
		q.DropDeadLetter(d)
		return Submitted{Job: j, Promoted: promoted}, nil
	}
	if f.full(rank(d.Record.Priority)) {
		return Submitted{}, ErrFull
	}
	q.removeDead(d)
	size := 0
	if d.Spilled {
		size = d.Size
	}
	j := newJob(f, &d.Record, size)
	p := q.place(q.hashOf(j))
	_, twin := p.find(f, j.Unique(), d.Record.Payload)
	j.mark(apart, twin)
	q.indexJob(j, p)
	if hold {
		j.mark(retrying, true)
		q.retrying[j] = d
	} else {
		f.counters.submitted++
		q.startJob(j)
	}
	return Submitted{Job: j, Fresh: true}, nil
}

// endDeadRetry ends the retry of a dead letter that has become the held j. It
// returns the dead letter, or nil if j was none.
func (q *Queue) endDeadRetry(j *Job) *DeadLetter {
	if !j.is(retrying) {
		return nil
	}
	d := q.retrying[j]
	delete(q.retrying, j)
	j.mark(retrying, false)
	return d
}

// deadList is a list through one of the links of dead letters.
type deadList struct {
	head, tail *DeadLetter
	n          int
}

// The lists that a dead letter is in.
const (
	ofFunction = iota
	ofAll
)

// lastBefore returns the last one that died at or before a date, or nil. It
// takes a step for each one that died later.
func (l *deadList) lastBefore(died int64, which int) *DeadLetter {
	before := l.tail
	for before != nil && before.Died > died {
		before = before.links[which].prev
	}
	return before
}

// insertLetter inserts d behind before, or at the head if before is nil.
func (l *deadList) insertLetter(d, before *DeadLetter, which int) {
	at := &d.links[which]
	at.prev = before
	if before == nil {
		at.next, l.head = l.head, d
	} else {
		at.next, before.links[which].next = before.links[which].next, d
	}
	if at.next == nil {
		l.tail = d
	} else {
		at.next.links[which].prev = d
	}
	l.n++
}

func (l *deadList) removeLetter(d *DeadLetter, which int) {
	at := &d.links[which]
	if at.prev == nil {
		l.head = at.next
	} else {
		at.prev.links[which].next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		at.next.links[which].prev = at.prev
	}
	at.prev = nil // next stays set for callers that walk the list
	l.n--
}
