package queue

// Tick does everything that is due at now: delayed jobs become ready, workers
// lose jobs over their time limit, unanswered wake-ups pass on to the next
// worker, old dead letters and unused functions are forgotten, and functions that
// were withheld are released. It does at most
// some thousand of these; if there are more, Next returns a time that has
// passed.
func (q *Queue) Tick(now int64) {
	q.now = now
	for range maxDue {
		t, ok := q.nextTimer()
		if !ok || t.at > now {
			break
		}
		j := t.job
		if j.state == Running {
			q.loseJob(j, TimedOut)
			continue
		}
		q.removeTimerOf(j)
		j.function.delayed.removeJob(j)
		q.waitAtTail(j)
	}
	q.passTokens()
	q.dropExpiredDead()
	q.releaseWithheld()
	q.forgetUnused()
}

// maxDue is the maximum number of jobs, wake-ups and dead letters that one Tick
// handles.
const maxDue = 1000

// nextTimer returns the earliest timer of both clocks, in the time of now.
func (q *Queue) nextTimer() (t timer, ok bool) {
	if len(q.timers) > 0 {
		t, ok = q.timers[0], true
	}
	if len(q.dates) > 0 {
		d := q.dates[0]
		d.at -= q.wall
		if !ok || d.before(t) {
			t, ok = d, true
		}
	}
	return t, ok
}

// removeTimerOf removes the timer of a running or delayed job, if it has one.
func (q *Queue) removeTimerOf(j *Job) {
	if j.is(dated) {
		j.mark(dated, false)
		q.dates.removeTimer(j)
		return
	}
	q.timers.removeTimer(j)
}

// Next returns the time, in the same clock as now, at which Tick has something
// to do; ok is false if there is nothing. The time changes when the wall clock
// is set: if jobs are delayed to a date (Dated), call Tick from time to time.
func (q *Queue) Next() (at int64, ok bool) {
	if t, some := q.nextTimer(); some {
		at, ok = t.at, true
	}
	if p := q.woken.head; p != nil {
		if due := p.wokenAt + q.cfg.WakeAfter; !ok || due < at {
			at, ok = due, true
		}
	}
	if d := q.dead.head; d != nil && q.cfg.DeadAge > 0 {
		if due := d.Died + q.cfg.DeadAge - q.wall; !ok || due < at {
			at, ok = due, true
		}
	}
	if q.cfg.ForgetAfter > 0 && q.functions.first != nil && (!ok || q.sweep.at < at) {
		at, ok = q.sweep.at, true
	}
	if q.releasesWithheld() && (!ok || q.now < at) {
		at, ok = q.now, true
	}
	return at, ok
}

// Dated reports whether a job is delayed to a date.
func (q *Queue) Dated() bool { return len(q.dates) > 0 }

// timers is a heap of delayed and running jobs, the earliest first; jobs of the
// same time are in the order of their numbers. Each job stores its index in the
// heap.
type timers []timer

type timer struct {
	at  int64
	job *Job
}

func (t timer) before(o timer) bool {
	return t.at < o.at || t.at == o.at && t.job.seq < o.job.seq
}

func (h *timers) addTimer(j *Job, at int64) {
	*h = append(*h, timer{at, j})
	h.up(len(*h) - 1)
}

// removeTimer removes the timer of j if it is in the heap.
func (h *timers) removeTimer(j *Job) {
	i := int(j.detail.timer) - 1
	if i < 0 {
		return
	}
	j.detail.timer = 0
	last := len(*h) - 1
	moved := (*h)[last]
	(*h)[last] = timer{}
	*h = (*h)[:last]
	if i < last {
		h.setTimer(i, moved)
		h.up(h.down(i))
	}
}

func (h timers) setTimer(i int, t timer) {
	h[i] = t
	t.job.detail.timer = int32(i) + 1
}

func (h timers) up(i int) {
	t := h[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !t.before(h[parent]) {
			break
		}
		h.setTimer(i, h[parent])
		i = parent
	}
	h.setTimer(i, t)
}

func (h timers) down(i int) int {
	t := h[i]
	for {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(t) {
			break
		}
		h.setTimer(i, h[child])
		i = child
	}
	h.setTimer(i, t)
	return i
}
