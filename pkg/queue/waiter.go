package queue

// waiter is one client's wait for a job, one for each submission. It is in two
// rings, its job's and its client's.
type waiter struct {
	peer                   *Peer
	job                    *Job
	nextOfJob, prevOfJob   *waiter
	nextOfPeer, prevOfPeer *waiter
}

func (q *Queue) addWaiter(j *Job, p *Peer) {
	w := q.waiters.get()
	w.peer, w.job = p, j
	d := q.detailOf(j)
	if first := d.waiters; first == nil {
		d.waiters, w.nextOfJob, w.prevOfJob = w, w, w
	} else {
		w.nextOfJob, w.prevOfJob = first, first.prevOfJob
		w.prevOfJob.nextOfJob, first.prevOfJob = w, w
	}
	d.nwaiters++
	if first := p.waits; first == nil {
		p.waits, w.nextOfPeer, w.prevOfPeer = w, w, w
	} else {
		w.nextOfPeer, w.prevOfPeer = first, first.prevOfPeer
		w.prevOfPeer.nextOfPeer, first.prevOfPeer = w, w
	}
	p.nwaits++
}

func (q *Queue) forgetWaiter(w *waiter) {
	d, p := w.job.detail, w.peer
	w.prevOfJob.nextOfJob, w.nextOfJob.prevOfJob = w.nextOfJob, w.prevOfJob
	if d.waiters == w {
		d.waiters = w.nextOfJob
	}
	if d.nwaiters--; d.nwaiters == 0 {
		d.waiters = nil
	}
	w.prevOfPeer.nextOfPeer, w.nextOfPeer.prevOfPeer = w.nextOfPeer, w.prevOfPeer
	if p.waits == w {
		p.waits = w.nextOfPeer
	}
	if p.nwaits--; p.nwaits == 0 {
		p.waits = nil
	}
	q.waiters.put(w)
}
