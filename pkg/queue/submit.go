package queue

import (
	"gm/pkg/store"
	"gm/pkg/wire"
)

// Submission is one SUBMIT_JOB packet of any kind. The queue reads its bytes
// only during the call, except a Payload with Given set.
type Submission struct {
	Function, Unique, Reducer, Payload []byte
	// Given lets the queue keep Payload without a copy, and write into its
	// spare capacity.
	Given bool

	Priority   wire.Priority
	Background bool
	// RunAt delays the job to a date, in Unix milliseconds of the wall clock; 0
	// means now.
	RunAt int64
	// Hold withholds a new job from workers until Release or Abort, while the
	// journal is written. A job that becomes a background job by this
	// submission keeps its state and is only marked.
	Hold bool
	// Client waits for the result of a foreground submission.
	Client *Peer
}

// Submitted is the result of a submission.
type Submitted struct {
	Job      *Job
	Fresh    bool // otherwise the submission joined an existing job
	Promoted bool // the job was a foreground job and is a background job from now on
}

// Submit adds a job, or joins one that has the same unique and was not
// cancelled. It returns ErrFull for a new job over its function's limit,
// ErrMemory for one over Config.Memory that cannot be spilled, and ErrTooLong
// for a unique or a reducer of more than 65535 bytes.
func (q *Queue) Submit(now int64, s *Submission) (Submitted, error) {
	q.now = now
	if len(s.Unique) > maxName || len(s.Reducer) > maxName {
		return Submitted{}, ErrTooLong
	}
	f := q.functionOrNew(s.Function)
	p := q.placeOf(f, s.Unique, s.Payload)
	same, twin := p.find(f, s.Unique, s.Payload)
	if same != nil {
		f.counters.coalesced++
		return Submitted{Job: same, Promoted: q.joinJob(same, s)}, nil
	}
	if f.full(rankOf(s.Priority)) {
		return Submitted{}, ErrFull
	}
	size := len(s.Payload) + len(s.Unique) + len(s.Reducer)
	if q.isFull(size, s.Background) || q.noRoom(size) && !(q.cfg.Spill && s.Background && s.Hold) {
		return Submitted{}, ErrMemory
	}
	q.jobs.seq++
	j := &Job{
		seq:        q.jobs.seq,
		function:   f,
		uniqueLen:  uint16(len(s.Unique)),
		reducerLen: uint16(len(s.Reducer)),
		accepted:   q.Wall(),
		priority:   rankOf(s.Priority),
	}
	if j.data = s.Payload; !s.Given {
		j.data = append(make([]byte, 0, size), s.Payload...)
	}
	j.data = append(append(j.data, s.Unique...), s.Reducer...)
	if s.RunAt > q.Wall() {
		q.detailOf(j).runAt = s.RunAt
	}
	j.mark(apart, twin)
	q.indexJob(j, p)
	q.joinJob(j, s)
	j.mark(promoting, false)
	if !s.Hold {
		f.counters.submitted++
		q.startJob(j)
	}
	return Submitted{Job: j, Fresh: true}, nil
}

// CountCoalesced counts a submission for a function that its owner has answered with a
// job that has ended.
func (q *Queue) CountCoalesced(function []byte) {
	if f := q.functions.byName[string(function)]; f != nil {
		f.counters.coalesced++
	}
}

// Joins reports whether a submission would join an existing job.
func (q *Queue) Joins(s *Submission) bool {
	f := q.functions.byName[string(s.Function)]
	return f != nil && q.findUnique(f, s.Unique, s.Payload) != nil
}

// joinJob adds a submission's client to j, or makes j a background job if the
// submission is one. It reports whether j was a foreground job until now.
func (q *Queue) joinJob(j *Job, s *Submission) (promoted bool) {
	if !s.Background {
		if s.Client != nil {
			q.addWaiter(j, s.Client)
		}
		return false
	}
	if j.is(background) {
		return false
	}
	if j.inQueue() {
		j.function.countForeground(-1)
	}
	j.mark(background, true)
	j.mark(promoting, s.Hold)
	return true
}

// indexJob adds j to the indexes; p is its place among the uniques.
func (q *Queue) indexJob(j *Job, p place) {
	q.jobs.addJob(j)
	q.addUnique(j, p)
	j.function.total++
	q.memory.bytes += j.cost()
	if j.is(spilled) {
		q.memory.spilled++
	}
}

// startJob makes a held job wait for its time or for a worker.
func (q *Queue) startJob(j *Job) {
	if j.RunAt() > q.Wall() {
		j.mark(dated, true)
		q.delayJob(j, &q.dates, j.RunAt())
		return
	}
	q.waitAtTail(j)
}

// delayJob makes j wait for a time of one of the clocks.
func (q *Queue) delayJob(j *Job, clock *timers, at int64) {
	j.state = Delayed
	j.function.delayed.pushBack(j)
	clock.addTimer(j, at)
}

// enqueueJob puts j at one end of its queue and wakes workers for it.
func (q *Queue) enqueueJob(j *Job, push func(*jobList, *Job)) {
	f := j.function
	l := &f.waiting[j.priority]
	j.state = Waiting
	if j.is(spilled) {
		f.spilled++
	}
	push(l, j)
	if !j.is(background) {
		f.countForeground(1)
	}
	switch {
	case f.inWithheld && f.withheld[j.priority]:
		if l.head == j || !j.is(background) {
			f.releaseList(j.priority)
		}
	case l.n == 1 && !f.paused:
		f.setReady(j.priority, true)
	}
	q.wakeReady(f)
}

// Release reports to the queue that the journal has j. A held job begins to
// wait for its time or for a worker; it ends if it was cancelled or its clients
// left meanwhile. A promoted job loses its mark. If memory is short, the queue
// drops the payload. Release does nothing for an ended job.
func (q *Queue) Release(now int64, j *Job) {
	q.now = now
	j.mark(promoting, false)
	j.mark(stored, j.is(background))
	if j.state != Held {
		q.spillIfNeeded(j)
		return
	}
	q.endDeadRetry(j)
	q.endHold(j)
}

// Abort reports to the queue that the journal does not have j. The queue
// forgets a held job and its waiters without a call of Ended; a retried dead
// letter becomes a dead letter again. A promoted job becomes a foreground job
// again, and ends if it waits and its clients left meanwhile. Abort does nothing
// for an ended job.
func (q *Queue) Abort(now int64, j *Job) {
	q.now = now
	switch {
	case j.state == Held:
		d := q.endDeadRetry(j)
		q.forgetJob(j)
		if d != nil {
			q.insertDeadByDate(d)
			q.dropExcessDead(d.function)
		}
	case j.state != Ended && j.is(promoting):
		j.mark(promoting|background, false)
		if f := j.function; j.inQueue() {
			f.countForeground(1)
			if f.withheld[j.priority] {
				f.releaseList(j.priority)
			}
		}
		if j.unwanted() && j.state != Running {
			q.endJob(j, Abandoned)
		}
	}
}

// Record returns j as the journal stores it. The caller must not change the
// payload, which is nil if it is spilled. The record is Apart if a cancelled
// job had the same unique, because the journal may still have that job after
// the queue has forgotten it.
func (q *Queue) Record(j *Job) store.Record {
	r := store.Record{
		Seq:      j.seq,
		Function: j.function.name,
		Unique:   string(j.Unique()),
		Reducer:  string(j.Reducer()),
		Payload:  j.Payload(),
		Priority: uint8(j.priority),
		RunAt:    j.RunAt(),
		Accepted: j.accepted,
		Apart:    j.is(apart),
	}
	r.SetTried(j.Failures(), j.Losses())
	return r
}

// ReleaseForeground releases a held foreground job that its owner has held for
// another reason than a write to the journal. It does nothing for a job that is
// not held.
func (q *Queue) ReleaseForeground(now int64, j *Job) {
	q.now = now
	if j.state == Held {
		q.endHold(j)
	}
}

// endHold releases the held j: j ends if it was cancelled or its clients left
// meanwhile; otherwise it waits for its time or for a worker.
func (q *Queue) endHold(j *Job) {
	j.function.counters.submitted++
	switch {
	case j.is(cancelled):
		q.endJob(j, Cancelled)
	case j.unwanted():
		q.endJob(j, Abandoned)
	default:
		q.startJob(j)
		q.spillIfNeeded(j)
	}
}
