package queue

// Grab gives the worker its next job, or nil if none is ready. It chooses the
// highest priority of all the worker's functions, then the function that the
// worker added last (with Config.RoundRobin the next one), then the oldest job.
// The worker is awake from now on.
func (q *Queue) Grab(now int64, p *Peer) *Job {
	q.now = now
	token := q.markAwake(p)
	c := q.classOf(p)
	f, r, position := c.firstReady(p.nextPosition)
	var j *Job
	switch {
	case f == nil:
	case q.withholding:
		j, position = q.firstNotWithheld(c, p.nextPosition)
	default:
		j = f.waiting[r].head
	}
	if j != nil {
		q.dequeueJob(j)
		q.assignJob(j, p)
		if q.cfg.RoundRobin {
			p.nextPosition = position + 1
		}
	}
	if token != nil {
		q.scheduleRouse(token)
	}
	return j
}

// GrabAgain gives the worker a job that waits, also for a retry, and reports
// whether it did. It is for a worker that still has the job although this
// queue, or an earlier queue with the same journal, counted it as lost. The
// worker must be able to do the job's function.
func (q *Queue) GrabAgain(now int64, p *Peer, j *Job) bool {
	q.now = now
	if p.abilities[j.function] == nil {
		return false
	}
	switch {
	case j.state == Waiting:
		q.dequeueJob(j)
	case j.state == Delayed && j.Attempts() > 0:
		q.removeTimerOf(j)
		j.function.delayed.removeJob(j)
	default:
		return false
	}
	q.assignJob(j, p)
	return true
}

// dequeueJob removes j from its queue.
func (q *Queue) dequeueJob(j *Job) {
	f := j.function
	if j.is(spilled) {
		f.spilled--
	}
	if j.is(behind) {
		j.mark(behind, false)
		f.behind[j.priority].removeJob(j)
		return
	}
	l := &f.waiting[j.priority]
	l.removeJob(j)
	if !j.is(background) {
		f.countForeground(-1)
	}
	switch {
	case f.inWithheld && f.withheld[j.priority]:
		f.releaseList(j.priority)
	case l.n == 0 && !f.paused:
		f.setReady(j.priority, false)
	}
}

// assignJob gives j, which is in no list, to p.
func (q *Queue) assignJob(j *Job, p *Peer) {
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
			q.timers.addTimer(j, q.now+timeout)
		}
	}
}

// RestartLimit restarts the time limit of a running job, because its worker
// gets the payload only now.
func (q *Queue) RestartLimit(now int64, j *Job) {
	q.now = now
	if j.state != Running {
		return
	}
	j.detail.started = now
	if a := j.detail.worker.abilities[j.function]; a != nil && a.timeout > 0 {
		q.timers.removeTimer(j)
		q.timers.addTimer(j, now+a.timeout)
	}
}

// Held returns the job with that handle if p holds it, or nil.
func (q *Queue) Held(p *Peer, handle []byte) *Job {
	j := q.Lookup(handle)
	if j == nil || j.state != Running || j.detail.worker != p {
		return nil
	}
	return j
}

// SetStatus stores the progress that the worker of a running job reports.
func (q *Queue) SetStatus(j *Job, num, den int64) {
	if j.state == Running {
		j.detail.num, j.detail.den = num, den
	}
}

// Complete ends a running job: its worker is done.
func (q *Queue) Complete(now int64, j *Job) {
	q.now = now
	if j.state == Running {
		q.endJob(j, Completed)
	}
}

// GiveBack takes back a running job that its worker returns. It counts as an
// attempt, unless the job is spilled.
func (q *Queue) GiveBack(now int64, j *Job) {
	q.now = now
	if j.state == Running {
		q.loseJob(j, GivenBack)
	}
}

// Cancel ends a waiting or delayed job and returns true. It only marks a
// running or held job: the result of the running one is still delivered, but it
// does not run again, and the held one ends when it is released. No submission
// joins a marked job.
func (q *Queue) Cancel(now int64, j *Job) bool {
	q.now = now
	switch j.state {
	case Waiting, Delayed:
		q.endJob(j, Cancelled)
		return true
	case Running, Held:
		j.mark(cancelled, true)
	}
	return false
}

// loseJob takes a running job from its worker. The job goes to the head of its
// queue, or ends if it was lost too often or nobody wants it. A spilled job was
// not tried, because its worker never had the payload: it returns unchanged.
func (q *Queue) loseJob(j *Job, why Reason) {
	f := j.function
	if !j.is(spilled) {
		q.noteFailure(j, why)
		j.detail.losses++
	}
	switch {
	case j.is(cancelled):
		q.endJob(j, Cancelled)
		return
	case j.unwanted():
		q.endJob(j, Abandoned)
		return
	case q.cfg.JobRetries >= 0 && j.Losses() >= max(q.cfg.JobRetries, 1) && !j.is(spilled):
		q.endJob(j, Exhausted)
		return
	}
	p := j.detail.worker
	q.unassignJob(j)
	f.counters.retried++
	q.enqueueJob(j, (*jobList).pushFront)
	q.sink.Requeued(j, p, why)
	q.spillIfNeeded(j)
}

// unassignJob takes j from its worker.
func (q *Queue) unassignJob(j *Job) {
	d := j.detail
	q.removeTimerOf(j)
	d.worker.skipJob(j)
	d.worker.jobs.removeJob(j)
	d.worker, d.started, d.num, d.den = nil, 0, 0, 0
	j.function.running--
	q.running--
	q.memory.bytes += j.cost()
	q.memory.running -= j.cost()
}

// endJob reports the end of j to the sink, and forgets j.
func (q *Queue) endJob(j *Job, why Reason) {
	c := &j.function.counters
	switch why {
	case Completed:
		c.completed++
	case Failed, Exhausted:
		c.failed++
	}
	q.sink.Ended(j, why)
	d := q.retainDead(j, why)
	q.forgetJob(j)
	if d != nil {
		q.dropExcessDead(d.function)
	}
}

// forgetJob removes j from all lists and indexes.
func (q *Queue) forgetJob(j *Job) {
	switch j.state {
	case Delayed:
		q.removeTimerOf(j)
		j.function.delayed.removeJob(j)
	case Waiting:
		q.dequeueJob(j)
	case Running:
		q.unassignJob(j)
	}
	j.state = Ended
	q.memory.bytes -= j.cost()
	if j.is(spilled) {
		q.memory.spilled--
	}
	q.forgetNote(j)
	q.removeUnique(j)
	q.jobs.removeJob(j)
	j.function.total--
	if d := j.detail; d != nil {
		for d.waiters != nil {
			q.forgetWaiter(d.waiters)
		}
		j.detail = nil
		q.details.put(d)
	}
}

// detailOf returns j's detail, and creates it if needed.
func (q *Queue) detailOf(j *Job) *detail {
	if j.detail == nil {
		j.detail = q.details.get()
	}
	return j.detail
}
