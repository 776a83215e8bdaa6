package queue

// When a store is full, dead letters that it cannot take stay in memory. To
// bound them, the queue withholds spilled jobs while such dead letters hold more
// than a quarter of Config.Memory: a spilled job takes memory only when it runs,
// and may then become a dead letter as well. Jobs whose payloads are in memory go
// on, because they take no more of it when they fail.
//
// A list of waiting jobs is withheld if its first job is spilled and
// Function.firstForeground finds no foreground job behind it. Foreground jobs
// overtake withheld ones, so that they do not depend on the store.
//
// Grab finds out which lists are withheld, and marks them. A mark is removed when
// the list changes, or when the withholding ends. A marked list counts as empty
// wherever workers are woken.

// countUnstored adds n to the bytes of dead letters that the journal does not
// have, and begins or ends the withholding.
func (q *Queue) countUnstored(n int64) {
	q.memory.unstored += n
	on := q.cfg.Spill && q.memory.unstored > q.memory.maxDead
	if on == q.withholding {
		return
	}
	q.withholding = on
	if q.deadSink != nil {
		q.deadSink.Withholding(on)
	}
	q.releaseWithheld()
}

// firstNotWithheld is firstReady while jobs are withheld. It returns a job
// instead of its function and priority. It marks at most maxDue lists as withheld;
// a worker that gets no job because of that is woken again as soon as it sleeps.
func (q *Queue) firstNotWithheld(c *class, from int) (j *Job, position int) {
	for range maxDue {
		f, r, position := c.firstReady(from)
		if f == nil {
			break
		}
		if j = f.waiting[r].head; j.is(spilled) {
			j = f.firstForeground(r)
		}
		if j != nil {
			return j, position
		}
		q.withholdList(f, r)
	}
	return nil, 0
}

// withholdList marks the waiting jobs of a priority as withheld.
func (q *Queue) withholdList(f *Function, r rank) {
	if !f.inWithheld {
		f.inWithheld = true
		q.withheld = append(q.withheld, f)
	}
	f.withheld[r] = true
	f.setReady(r, false)
}

// releaseList removes the mark of withholdList. The next Grab decides again.
func (f *Function) releaseList(r rank) {
	f.withheld[r] = false
	if !f.paused && f.waiting[r].n > 0 {
		f.setReady(r, true)
		f.queue.scheduleRouse(f)
	}
}

// numWithheld returns the number of jobs in marked lists.
func (f *Function) numWithheld() (n int) {
	for r, withheld := range f.withheld {
		if withheld {
			n += f.waiting[r].n
		}
	}
	return n
}

// releaseWithheld releases all lists of up to maxDue functions if the withholding
// has ended.
func (q *Queue) releaseWithheld() {
	for n := 0; n < maxDue && q.releasesWithheld(); n++ {
		last := len(q.withheld) - 1
		f := q.withheld[last]
		q.withheld[last] = nil
		q.withheld = q.withheld[:last]
		for r := range f.withheld {
			if f.withheld[r] {
				f.releaseList(rank(r))
			}
		}
		f.inWithheld = false
	}
	if len(q.withheld) == 0 {
		q.withheld = nil
	}
}

// releasesWithheld reports whether releaseWithheld has something to do.
func (q *Queue) releasesWithheld() bool { return !q.withholding && len(q.withheld) > 0 }

// Withholding reports whether spilled jobs are withheld from workers, because
// dead letters that the journal does not have take too much memory.
func (q *Queue) Withholding() bool { return q.withholding }
