package queue

import (
	"fmt"
	"math"

	"gm/pkg/store"
	"gm/pkg/wire"
)

// Dead is a background job that ended Failed or Exhausted and was not
// cancelled. The queue keeps it for inspection and for another try. A Dead that
// the queue has received or returned must not be changed.
type Dead struct {
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
	kept     bool // the journal has it
	links    [2]struct{ next, prev *Dead }
}

// Attempts returns the number of attempts that did not complete.
func (d *Dead) Attempts() int {
	failures, losses := d.Record.Tried()
	return failures + losses
}

// Priority returns the priority of the job.
func (d *Dead) Priority() wire.Priority { return rank(d.Record.Priority).priority() }

// Function returns the job's function.
func (d *Dead) Function() *Function { return d.function }

// Handle returns the job's handle, H:<host>:<seq>, which a revived job keeps.
func (d *Dead) Handle() string { return string(d.AppendHandle(nil)) }

// AppendHandle appends the handle.
func (d *Dead) AppendHandle(dst []byte) []byte {
	return d.function.queue.appendHandle(dst, d.Record.Seq)
}

// cost returns the bytes that d counts against Config.Memory.
func (d *Dead) cost() int64 {
	if d.Spilled {
		return 0
	}
	return int64(len(d.Record.Payload) + len(d.Record.Unique) + len(d.Record.Reducer) + len(d.Error))
}

// bury adds j, which is about to be forgotten, to the dead list if it belongs
// there.
func (q *Queue) bury(j *Job, why Reason) *Dead {
	if q.cfg.DeadMax <= 0 || why != Failed && why != Exhausted || !j.is(background) || j.is(cancelled) {
		return nil
	}
	d := &Dead{
		Record: q.Record(j), Spilled: j.is(spilled), Size: j.Size(), Reason: why, Error: j.Note(),
		Started: j.Started() + q.wall, Died: q.Wall(), function: j.function,
	}
	q.inter(d, q.dead.tail, d.function.dead.tail)
	if q.dig != nil {
		q.dig.Buried(d, j)
	}
	return d
}

// inter inserts d into the list of all dead jobs and into its function's list,
// behind the given ones; nil is the head.
func (q *Queue) inter(d, before, ofSame *Dead) {
	q.graves[d.Record.Seq] = d
	q.dead.insert(d, before, ofAll)
	d.function.dead.insert(d, ofSame, ofFunction)
	q.memory.bytes += d.cost()
	q.memory.dead += d.cost()
}

// interByDate inserts d into the lists, behind the jobs that died before it.
func (q *Queue) interByDate(d *Dead) {
	q.inter(d, q.dead.lastBefore(d.Died, ofAll), d.function.dead.lastBefore(d.Died, ofFunction))
}

// exhume removes d from the lists.
func (q *Queue) exhume(d *Dead) {
	delete(q.graves, d.Record.Seq)
	q.dead.remove(d, ofAll)
	d.function.dead.remove(d, ofFunction)
	q.memory.bytes -= d.cost()
	q.memory.dead -= d.cost()
}

// thinOut forgets the oldest dead jobs of f beyond DeadMax, and, of all
// functions, the oldest that take too much memory and cannot be spilled.
func (q *Queue) thinOut(f *Function) {
	for f.dead.n > max(q.cfg.DeadMax, 0) {
		q.Forget(f.dead.head)
	}
	for !q.cfg.Spill && q.memory.dead > q.memory.maxDead {
		q.Forget(q.dead.head)
	}
}

// forgetOld forgets the dead jobs that are too old.
func (q *Queue) forgetOld() {
	if q.cfg.DeadAge <= 0 {
		return
	}
	for range maxDue {
		d := q.dead.head
		if d == nil || d.Died+q.cfg.DeadAge > q.Wall() {
			return
		}
		q.Forget(d)
	}
}

// Forget removes d from the dead list. It does nothing if d is not in the list.
func (q *Queue) Forget(d *Dead) {
	if q.graves[d.Record.Seq] != d {
		return
	}
	q.exhume(d)
	if q.dig != nil {
		q.dig.Forgotten(d)
	}
}

// LookupDead returns the dead job with that handle, or nil.
func (q *Queue) LookupDead(handle []byte) *Dead {
	seq, ok := q.Number(handle)
	if !ok {
		return nil
	}
	return q.graves[seq]
}

// DeadNumber returns the dead job with that number, or nil.
func (q *Queue) DeadNumber(seq uint64) *Dead { return q.graves[seq] }

// Dead calls yield for each dead job of a function, or of all if function is
// empty, in the order of their deaths, until it returns false. yield must not
// change the queue.
func (q *Queue) Dead(function string, yield func(*Dead) bool) {
	q.DeadAfter(function, nil, math.MaxInt, yield)
}

// DeadAfter calls yield for up to most dead jobs of a function, or of all
// functions if function is empty, until yield returns false. It begins after
// the dead job after, or with the oldest if after is nil. It returns the dead
// job to go on from, and whether there may be more. yield must not change the
// queue. Between two calls the queue may change, and after may have left the
// list.
func (q *Queue) DeadAfter(function string, after *Dead, most int, yield func(*Dead) bool) (last *Dead, more bool) {
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
		if q.graves[d.Record.Seq] == d && !yield(d) {
			return after, true
		}
	}
	return after, false
}

// ReleaseDead reports to the queue that the journal has d. If memory is short,
// the queue drops the payload.
func (q *Queue) ReleaseDead(d *Dead) {
	d.kept = true
	if q.graves[d.Record.Seq] == d {
		q.relieveDead(d)
	}
}

func (q *Queue) relieveDead(d *Dead) {
	short := q.memory.dead > q.memory.maxDead || q.memory.bytes > q.memory.wait
	if !short || !q.cfg.Spill || !d.kept || d.Spilled || d.Size == 0 {
		return
	}
	q.memory.bytes -= d.cost()
	q.memory.dead -= d.cost()
	d.Record.Payload, d.Spilled = nil, true
}

// RestoreDead adds a dead job from the journal, given by the exported fields of
// d, and takes over d. The queue may forget it at once if it has enough younger
// ones. A job that follows in the order of deaths takes one step; any other
// takes a step for each younger one.
func (q *Queue) RestoreDead(now int64, d *Dead) error {
	q.now = now
	if err := q.admit(&d.Record); err != nil {
		return fmt.Errorf("restore dead job %d: %w", d.Record.Seq, err)
	}
	if !d.Spilled {
		d.Size = len(d.Record.Payload)
	}
	d.function, d.kept = q.functionOrNew([]byte(d.Record.Function)), true
	q.interByDate(d)
	q.relieveDead(d)
	q.thinOut(d.function)
	return nil
}

// Revive makes d a background job again, with its number and handle, without
// its attempts and its time, and removes it from the dead list. hold means the
// same as Hold in a Submission; Abort puts a held job back into the list. If d
// is Spilled, so is the job, and it must be Loaded before the journal can have
// it.
//
// If another job has the same unique and was not cancelled, Revive forgets d
// and returns the other job, as Submit does. It returns ErrFull if the
// function's limit is reached, and ErrNotDead if d is not in the list.
func (q *Queue) Revive(now int64, d *Dead, hold bool) (Submitted, error) {
	q.now = now
	if q.graves[d.Record.Seq] != d {
		return Submitted{}, ErrNotDead
	}
	f := d.function
	if j := q.findUnique(f, []byte(d.Record.Unique), d.Record.Payload); j != nil {
		f.counters.coalesced++
		promoted := q.join(j, &Submission{Background: true, Hold: hold})
		q.Forget(d)
		return Submitted{Job: j, Promoted: promoted}, nil
	}
	if f.full(rank(d.Record.Priority)) {
		return Submitted{}, ErrFull
	}
	q.exhume(d)
	size := 0
	if d.Spilled {
		size = d.Size
	}
	j := newJob(f, &d.Record, size)
	p := q.place(q.hashOf(j))
	_, twin := p.find(f, j.Unique(), d.Record.Payload)
	j.mark(apart, twin)
	q.enter(j, p)
	if hold {
		j.mark(reviving, true)
		q.reviving[j] = d
	} else {
		f.counters.submitted++
		q.start(j)
	}
	return Submitted{Job: j, Fresh: true}, nil
}

// revived ends the revival of a held job. It returns the former dead job, or
// nil if there is none.
func (q *Queue) revived(j *Job) *Dead {
	if !j.is(reviving) {
		return nil
	}
	d := q.reviving[j]
	delete(q.reviving, j)
	j.mark(reviving, false)
	return d
}

// deadList is a list through one of the links of dead jobs.
type deadList struct {
	head, tail *Dead
	n          int
}

// The lists that a dead job is in.
const (
	ofFunction = iota
	ofAll
)

// lastBefore returns the last job that died at or before a date, or nil. It
// takes a step for each job that died later.
func (l *deadList) lastBefore(died int64, which int) *Dead {
	before := l.tail
	for before != nil && before.Died > died {
		before = before.links[which].prev
	}
	return before
}

// insert inserts d behind before, or at the head if before is nil.
func (l *deadList) insert(d, before *Dead, which int) {
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

func (l *deadList) remove(d *Dead, which int) {
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
	at.prev = nil // d.next stays set for callers that walk the list
	l.n--
}
