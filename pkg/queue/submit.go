package queue

import "gm/pkg/store"

// Submission is one SUBMIT_JOB packet of whatever kind. Its bytes are read
// during the call only, but for a Payload that is given away.
type Submission struct {
	Function, Unique, Reducer, Payload []byte
	// Given has the queue keep Payload as it is, and write into what capacity
	// it has behind it.
	Given bool

	Priority   Priority
	Background bool
	// RunAt delays the job to a date, in Unix milliseconds of the wall clock;
	// 0 is at once.
	RunAt int64
	// Hold keeps a fresh job from workers until Release or Abort: the
	// journal is being written. A job that becomes background by this
	// submission stays where it is and is only marked so.
	Hold bool
	// Client waits for the result of a foreground submission.
	Client *Peer
}

// Submitted says what became of a submission.
type Submitted struct {
	Job      *Job
	Fresh    bool // else it coalesced with a job that was there
	Promoted bool // the job was a foreground one and is a background one from now on
}

// Submit takes a job in, or joins one that has the same unique and was not
// cancelled. A fresh job
// over its function's limit is refused with ErrFull, one over Config.Memory
// that can't be spilled with ErrMemory, a unique or a reducer of more than
// 65535 bytes with ErrTooLong.
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
		return Submitted{Job: same, Promoted: q.join(same, s)}, nil
	}
	if f.full(s.Priority) {
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
		priority:   s.Priority,
	}
	if j.data = s.Payload; !s.Given {
		j.data = append(make([]byte, 0, size), s.Payload...)
	}
	j.data = append(append(j.data, s.Unique...), s.Reducer...)
	if s.RunAt > q.Wall() {
		q.detailOf(j).runAt = s.RunAt
	}
	j.mark(apart, twin)
	q.enter(j, p)
	q.join(j, s)
	j.mark(promoting, false)
	if !s.Hold {
		f.counters.submitted++
		q.start(j)
	}
	return Submitted{Job: j, Fresh: true}, nil
}

// Joins reports whether a submission would join a job that is there.
func (q *Queue) Joins(s *Submission) bool {
	f := q.functions.byName[string(s.Function)]
	return f != nil && q.findUnique(f, s.Unique, s.Payload) != nil
}

// join adds a submission's client or its being a background one to j, and
// reports whether j was a foreground job until now.
func (q *Queue) join(j *Job, s *Submission) (promoted bool) {
	if !s.Background {
		if s.Client != nil {
			q.addWaiter(j, s.Client)
		}
		return false
	}
	if j.is(background) {
		return false
	}
	j.mark(background, true)
	j.mark(promoting, s.Hold)
	return true
}

// enter makes j known, whose place among the uniques is p.
func (q *Queue) enter(j *Job, p place) {
	q.jobs.put(j)
	q.addUnique(j, p)
	j.function.total++
	q.memory.bytes += j.cost()
	if j.is(spilled) {
		q.memory.spilled++
	}
}

// start lets a held job wait for its time or for a worker.
func (q *Queue) start(j *Job) {
	if j.RunAt() > q.Wall() {
		j.mark(dated, true)
		q.delay(j, &q.dates, j.RunAt())
		return
	}
	q.waitAtTail(j)
}

// delay makes j wait for a time of one of the clocks.
func (q *Queue) delay(j *Job, clock *timers, at int64) {
	j.state = Delayed
	j.function.delayed.pushBack(j)
	clock.add(j, at)
}

// wait puts j at an end of its queue and wakes for it.
func (q *Queue) wait(j *Job, push func(*jobList, *Job)) {
	f := j.function
	l := &f.waiting[j.priority]
	j.state = Waiting
	if j.is(spilled) {
		f.spilled++
	}
	push(l, j)
	if l.n == 1 && !f.paused {
		f.setReady(j.priority, true)
	}
	q.wakeReady(f)
}

// Release tells that the journal has j. A held job goes to wait for its time
// or for a worker; it ends if it was cancelled or its clients left meanwhile.
// A job that was promoted loses its mark. If memory is short the payload is
// dropped. For an ended job it does nothing.
func (q *Queue) Release(now int64, j *Job) {
	q.now = now
	j.mark(promoting, false)
	j.mark(kept, j.is(background))
	if j.state != Held {
		q.relieve(j)
		return
	}
	q.revived(j)
	q.letGo(j)
}

// Abort tells that the journal does not have j. A held job never was: it is
// gone without an Ended, its waiters are forgotten; if it was a dead one
// before, it is again. A job that was promoted
// is a foreground job again, and ends if it waits and its clients left
// meanwhile. For an ended job it does nothing.
func (q *Queue) Abort(now int64, j *Job) {
	q.now = now
	switch {
	case j.state == Held:
		d := q.revived(j)
		q.forget(j)
		if d != nil {
			q.interByDate(d)
			q.thinOut(d.function)
		}
	case j.state != Ended && j.is(promoting):
		j.mark(promoting|background, false)
		if j.unwanted() && j.state != Running {
			q.end(j, Abandoned)
		}
	}
}

// Record returns j as the journal keeps it. The payload is the queue's, nil if
// it is spilled. It is Apart if there was a cancelled job with its unique, which
// the journal may have longer than the queue.
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

// ReleaseUnkept lets a held foreground job go that its owner has kept back for
// another reason than to write it into the journal. For a job that is not held
// it does nothing.
func (q *Queue) ReleaseUnkept(now int64, j *Job) {
	q.now = now
	if j.state == Held {
		q.letGo(j)
	}
}

// letGo ends the holding of j: it ends, if it was cancelled or its clients left
// meanwhile, or waits for its time or for a worker.
func (q *Queue) letGo(j *Job) {
	j.function.counters.submitted++
	switch {
	case j.is(cancelled):
		q.end(j, Cancelled)
	case j.unwanted():
		q.end(j, Abandoned)
	default:
		q.start(j)
		q.relieve(j)
	}
}
