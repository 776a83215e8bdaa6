package queue

// Functions come with their first mention, whoever makes it. So those that nobody
// uses are forgotten when Config.ForgetAfter has passed: they have no workers and
// no jobs, dead ones included, and an administrator has neither created nor paused
// them, nor given them limits or a policy.
//
// To note the time of each use would cost a job its share of the clock. Instead
// sweeps look at all functions, maxDue in a Tick, four times in ForgetAfter, and
// compare how often they were used. So a function goes between one time and one
// and a half times ForgetAfter after its last use.

// use is how often a function was named, and what the last sweep knew of that.
type use struct {
	n, seen uint64
	since   int64 // when a sweep saw seen first
}

// sweep is where the present sweep stands.
type sweep struct {
	at   int64     // when the next one begins, or goes on
	last *Function // the last one that it has looked at; nil if it is to begin
}

const sweepsInTime = 4

// unused reports whether nothing keeps f.
func (f *Function) unused() bool {
	return f.workers == 0 && f.total == 0 && f.dead.n == 0 &&
		!f.created && !f.paused && f.policy == nil && f.limits == [priorities]int{}
}

// forgetUnused goes on with the sweep if its time has come.
func (q *Queue) forgetUnused() {
	if q.cfg.ForgetAfter <= 0 || q.now < q.sweep.at {
		return
	}
	last, more := q.FunctionsAfter(q.sweep.last, maxDue, func(f *Function) bool {
		switch {
		case !f.unused() || f.use.n != f.use.seen:
			f.use.seen, f.use.since = f.use.n, q.now
		case q.now-f.use.since >= q.cfg.ForgetAfter+q.cfg.ForgetAfter/sweepsInTime:
			q.unlink(f)
		}
		return true
	})
	q.sweep.last = last
	if !more {
		q.sweep.last, q.sweep.at = nil, q.now+max(q.cfg.ForgetAfter/sweepsInTime, 1)
	}
}
