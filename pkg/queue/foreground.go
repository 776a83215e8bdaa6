package queue

// A server with a store that shuts down leaves background jobs to its next
// start. It still hands out foreground jobs, which would be lost.

// maxPassedOver is the maximum number of background jobs that a search for a
// foreground job skips in each list, so that a long queue does not delay other
// calls.
const maxPassedOver = 4096

// GrabForeground is Grab for foreground jobs only. It does not find a job that
// waits behind more than some thousand background jobs.
func (q *Queue) GrabForeground(now int64, p *Peer) *Job {
	q.now = now
	token := q.markAwake(p)
	j := p.firstForeground()
	if j != nil {
		q.dequeueJob(j)
		q.assignJob(j, p)
	}
	if token != nil {
		q.scheduleRouse(token)
	}
	return j
}

// firstForeground returns the foreground job that p would get first.
func (p *Peer) firstForeground() *Job {
	for priority := range rank(priorities) {
		for a := p.firstAbility; a != nil; a = a.next {
			if j := a.function.foreground(priority); j != nil {
				return j
			}
		}
	}
	return nil
}

// ReadyForeground reports whether GrabForeground would find a ready foreground
// job for some worker.
func (q *Queue) ReadyForeground() bool {
	if !q.Ready() {
		return false
	}
	found := false
	q.Functions(func(f *Function) bool {
		for priority := range f.waiting {
			found = found || f.workers > 0 && f.foreground(rank(priority)) != nil
		}
		return !found
	})
	return found
}

// foreground returns the first foreground job of a priority that is ready.
func (f *Function) foreground(r rank) *Job {
	if f.paused {
		return nil
	}
	passed := 0
	for j := f.waiting[r].head; j != nil && passed < maxPassedOver; j = j.next {
		if !j.is(background) {
			return j
		}
		passed++
	}
	return nil
}
