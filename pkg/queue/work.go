package queue

// Grab gives the worker its next job, nil if none is ready: of the highest
// priority that any of its functions has, of the function that it added last (or
// whose turn it is), the oldest. The worker is awake from now on.
func (q *Queue) Grab(now int64, p *Peer) *Job {
	q.now = now
	token := q.wakeUp(p)
	f, priority, position := q.classOf(p).firstReady(p.turn)
	var j *Job
	if f != nil {
		j = f.waiting[priority].head
		q.unwait(j)
		q.run(j, p)
		if q.cfg.RoundRobin {
			p.turn = position + 1
		}
	}
	if token != nil {
		q.cover(token)
	}
	return j
}

// GrabAgain gives the worker a job that waits, also for a retry, and reports
// whether it does: the worker has had it all the time, and the queue, or the one
// that had its journal before, thought it lost. The worker must be able to do its
// function.
func (q *Queue) GrabAgain(now int64, p *Peer, j *Job) bool {
	q.now = now
	if p.abilities[j.function] == nil {
		return false
	}
	switch {
	case j.state == Waiting:
		q.unwait(j)
	case j.state == Delayed && j.Attempts() > 0:
		q.unschedule(j)
		j.function.delayed.remove(j)
	default:
		return false
	}
	q.run(j, p)
	return true
}

// unwait takes j out of its queue.
func (q *Queue) unwait(j *Job) {
	f := j.function
	if j.is(spilled) {
		f.spilled--
	}
	if j.is(behind) {
		j.mark(behind, false)
		f.behind[j.priority].remove(j)
		return
	}
	l := &f.waiting[j.priority]
	l.remove(j)
	if l.n == 0 && !f.paused {
		f.setReady(j.priority, false)
	}
}

// run gives j, which is in no list, to p.
func (q *Queue) run(j *Job, p *Peer) {
	d := q.detailOf(j)
	d.worker, d.started = p, q.now
	j.state = Running
	j.function.running++
	q.running++
	q.memory.bytes -= j.cost()
	q.memory.running += j.cost()
	p.jobs.pushBack(j)
	if p.timeouts {
		if timeout := p.abilities[j.function].timeout; timeout > 0 {
			q.timers.add(j, q.now+timeout)
		}
	}
}

// RestartLimit has the time limit of a running job begin now: its worker gets
// the payload only now.
func (q *Queue) RestartLimit(now int64, j *Job) {
	q.now = now
	if j.state != Running {
		return
	}
	j.detail.started = now
	if a := j.detail.worker.abilities[j.function]; a != nil && a.timeout > 0 {
		q.timers.remove(j)
		q.timers.add(j, now+a.timeout)
	}
}

// Held returns the job with that handle if p holds it, else nil.
func (q *Queue) Held(p *Peer, handle []byte) *Job {
	j := q.Lookup(handle)
	if j == nil || j.state != Running || j.detail.worker != p {
		return nil
	}
	return j
}

// SetStatus keeps what the worker of a running job reports.
func (q *Queue) SetStatus(j *Job, num, den int64) {
	if j.state == Running {
		j.detail.num, j.detail.den = num, den
	}
}

// Complete ends a running job: its worker is done.
func (q *Queue) Complete(now int64, j *Job) {
	q.now = now
	if j.state == Running {
		q.end(j, Completed)
	}
}

// Retry takes a running job back from its worker, which hands it back. It
// counts as an attempt, unless the job is spilled.
func (q *Queue) Retry(now int64, j *Job) {
	q.now = now
	if j.state == Running {
		q.lose(j, GivenBack)
	}
}

// Cancel ends a waiting or delayed job and returns true. A running or held one
// is only marked: the running one's result is still delivered, but it does not
// run again, and the held one ends when it is released. No submission joins it any
// more.
func (q *Queue) Cancel(now int64, j *Job) bool {
	q.now = now
	switch j.state {
	case Waiting, Delayed:
		q.end(j, Cancelled)
		return true
	case Running, Held:
		j.mark(cancelled, true)
	}
	return false
}

// lose takes a running job from its worker. It goes to the head of its queue,
// or ends, if it was lost too often or nobody wants it. A spilled one was not
// tried, as its worker never had the payload: it goes back as it was.
func (q *Queue) lose(j *Job, why Reason) {
	f := j.function
	if !j.is(spilled) {
		q.blame(j, why)
		j.detail.losses++
	}
	switch {
	case j.is(cancelled):
		q.end(j, Cancelled)
		return
	case j.unwanted():
		q.end(j, Abandoned)
		return
	case q.cfg.JobRetries >= 0 && j.Losses() >= max(q.cfg.JobRetries, 1) && !j.is(spilled):
		q.end(j, Exhausted)
		return
	}
	p := j.detail.worker
	q.unrun(j)
	f.counters.retried++
	q.wait(j, (*jobList).pushFront)
	q.sink.Requeued(j, p, why)
	q.relieve(j)
}

// unrun takes j from its worker.
func (q *Queue) unrun(j *Job) {
	d := j.detail
	q.unschedule(j)
	d.worker.jobs.remove(j)
	d.worker, d.started, d.num, d.den = nil, 0, 0, 0
	j.function.running--
	q.running--
	q.memory.bytes += j.cost()
	q.memory.running -= j.cost()
}

// end tells the sink of the end of j, and forgets it.
func (q *Queue) end(j *Job, why Reason) {
	c := &j.function.counters
	switch why {
	case Completed:
		c.completed++
	case Failed, Exhausted:
		c.failed++
	}
	q.sink.Ended(j, why)
	d := q.bury(j, why)
	q.forget(j)
	if d != nil {
		q.thinOut(d.function)
	}
}

// forget takes j out of everything.
func (q *Queue) forget(j *Job) {
	switch j.state {
	case Delayed:
		q.unschedule(j)
		j.function.delayed.remove(j)
	case Waiting:
		q.unwait(j)
	case Running:
		q.unrun(j)
	}
	j.state = Ended
	q.memory.bytes -= j.cost()
	if j.is(spilled) {
		q.memory.spilled--
	}
	q.forgetNote(j)
	q.removeUnique(j)
	q.jobs.remove(j)
	j.function.total--
	if d := j.detail; d != nil {
		for d.waiters != nil {
			q.forgetWaiter(d.waiters)
		}
		j.detail = nil
		q.details.put(d)
	}
}

// detailOf returns j's detail, new if need be.
func (q *Queue) detailOf(j *Job) *detail {
	if j.detail == nil {
		j.detail = q.details.get()
	}
	return j.detail
}
