package queue

// The queue creates a function when any peer first names it. So it forgets
// unused functions after Config.ForgetAfter. An unused function has no workers,
// no jobs and no dead letters, and an administrator has neither created nor
// paused it, nor given it limits or a policy.
//
// To store the time of each use would cost time in every job. Instead, sweeps
// visit all functions four times per ForgetAfter, maxDue of them in a Tick, and
// compare their use counts. So a function is forgotten between one and one and
// a half times ForgetAfter after its last use.

// use counts how often a function was named, now and at the last sweep.
type use struct {
	n, seen uint64
	since   int64 // time when a sweep first saw the value in seen
}

// sweep is the progress of the present sweep.
type sweep struct {
	at   int64     // time when the next sweep begins, or the present one goes on
	last *Function // the last function that it has visited; nil if it has not begun
}

const sweepsInTime = 4

// unused reports whether f may be forgotten.
func (f *Function) unused() bool {
	return f.workers == 0 && f.total == 0 && f.dead.n == 0 &&
		!f.created && !f.paused && f.policy == nil && f.limits == [priorities]int{}
}

// forgetUnused continues the sweep if it is due.
func (q *Queue) forgetUnused() {
	if q.cfg.ForgetAfter <= 0 || q.now < q.sweep.at {
		return
	}
	last, more := q.FunctionsAfter(q.sweep.last, maxDue, func(f *Function) bool {
		switch {
		case !f.unused() || f.use.n != f.use.seen:
			f.use.seen, f.use.since = f.use.n, q.now
		case q.now-f.use.since >= q.cfg.ForgetAfter+q.cfg.ForgetAfter/sweepsInTime:
			q.unlinkFunction(f)
		}
		return true
	})
	q.sweep.last = last
	if !more {
		q.sweep.last, q.sweep.at = nil, q.now+max(q.cfg.ForgetAfter/sweepsInTime, 1)
	}
}
