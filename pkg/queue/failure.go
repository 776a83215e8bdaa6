package queue

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxNote is the maximum size of a stored error text in bytes.
const maxNote = 1024

// note describes the last failed attempt of a job. Jobs without one have no
// note.
type note struct {
	text    string
	attempt int // Attempts at the time of the note
}

// Note stores a copy of text, cut to 1024 bytes, as the last error of a running
// job, and replaces an earlier one. It does nothing if the job does not run or
// text is empty. If an attempt fails without a Note, the queue stores a text of
// its own: "failed", "worker lost", "timed out after 5s", "given back".
func (q *Queue) Note(j *Job, text []byte) {
	if j.state != Running || len(text) == 0 {
		return
	}
	if len(text) > maxNote {
		text = text[:maxNote]
		for range utf8.UTFMax - 1 {
			if r, size := utf8.DecodeLastRune(text); r != utf8.RuneError || size != 1 {
				break
			}
			text = text[:len(text)-1]
		}
	}
	q.setNote(j, string(text))
}

// Note returns the last error. It is empty if there was none, or if memory was
// short when the job returned to its queue. The journal does not keep it.
func (j *Job) Note() string {
	if !j.is(noted) {
		return ""
	}
	return j.function.queue.notes[j].text
}

// noteFailure stores the reason why an attempt of a running job fails, unless its
// worker has given one.
func (q *Queue) noteFailure(j *Job, why Reason) {
	if j.is(noted) && q.notes[j].attempt == j.Attempts() {
		return
	}
	text := why.String()
	if why == TimedOut {
		limit := q.timers[j.detail.timer-1].at - j.detail.started
		text += " after " + milliseconds(limit)
	}
	q.setNote(j, text)
}

func (q *Queue) setNote(j *Job, text string) {
	q.forgetNote(j)
	j.mark(noted, true)
	q.notes[j] = note{text, j.Attempts()}
	q.memory.bytes += int64(len(text))
}

func (q *Queue) forgetNote(j *Job) {
	if j.is(noted) {
		q.memory.bytes -= int64(len(q.notes[j].text))
		delete(q.notes, j)
		j.mark(noted, false)
	}
}

// Policy sets how a function's failed jobs are retried.
type Policy struct {
	// Retries is the maximum number of retries of a failing job; 0 means none,
	// -1 means no limit. Attempts that lost their worker do not count.
	Retries int
	// Min is the wait before the first retry, in milliseconds. It doubles with
	// each failure up to Max. Config.Rand picks a time between half of it and
	// all of it.
	Min, Max int64
}

// String returns RETRIES, or RETRIES,MIN..MAX if there are waits, as in
// 3,1s..5m.
func (p *Policy) String() string {
	s := strconv.Itoa(p.Retries)
	if p.Max > 0 {
		s += "," + milliseconds(p.Min) + ".." + milliseconds(p.Max)
	}
	return s
}

// milliseconds formats a time without the trailing zero units of time.Duration.
func milliseconds(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// maxWait is the longest wait, in milliseconds: 34 years.
const maxWait = 1 << 40

// SetPolicy sets the policy for the function's jobs that fail from now on; with
// nil they end. It creates the function if needed. A Max below Min counts as
// Min.
func (q *Queue) SetPolicy(function []byte, p *Policy) {
	f := q.functionOrNew(function)
	if p == nil {
		f.policy = nil
		return
	}
	least := min(max(p.Min, 0), maxWait)
	f.policy = &Policy{Retries: p.Retries, Min: least, Max: min(max(p.Max, least), maxWait)}
}

// backOff returns the wait before the next try of a job that has failed, in
// milliseconds. failures is the number of its earlier failures.
func (p *Policy) backOff(failures int, random func() uint64) int64 {
	wait := p.Min
	for range failures {
		if wait == 0 || wait >= p.Max {
			break
		}
		wait *= 2
	}
	wait = min(wait, p.Max)
	if random == nil || wait == 0 {
		return wait
	}
	half := wait / 2
	return half + int64(random()%uint64(wait-half+1))
}

// Final reports whether Fail would end the running j: its function has no
// policy, it has no tries left, or nobody wants it any more.
func (q *Queue) Final(j *Job) bool {
	p := j.function.policy
	return p == nil || p.Retries >= 0 && j.Failures() >= p.Retries || j.is(cancelled) || j.unwanted()
}

// Fail records that a worker has reported its running job as failed, and counts
// the attempt. If it is not Final, the job is delayed, and goes to the tail of
// its queue when it is due, so that a job that always fails does not block
// others; its clients go on waiting. Otherwise the job ends. Fail reports
// whether it ended.
func (q *Queue) Fail(now int64, j *Job) (ended bool) {
	q.now = now
	if j.state != Running {
		return false
	}
	if q.Final(j) {
		q.FailForGood(now, j)
		return true
	}
	d, p, f := j.detail, j.detail.worker, j.function
	q.noteFailure(j, Failed)
	wait := f.policy.backOff(j.Failures(), q.cfg.Rand)
	d.failures++
	q.unassignJob(j)
	f.counters.retried++
	d.runAt = q.Wall() + wait
	q.retryAfter(j, wait)
	q.sink.Requeued(j, p, Failed)
	q.spillIfNeeded(j)
	return false
}

// retryAfter makes the failed j ready after wait milliseconds, even if somebody
// sets the wall clock meanwhile.
func (q *Queue) retryAfter(j *Job, wait int64) {
	if wait > 0 {
		q.delayJob(j, &q.timers, q.now+wait)
		return
	}
	q.waitAtTail(j)
}

// FailForGood ends a running job as Failed and ignores its function's policy. It is
// for jobs that another try cannot help.
func (q *Queue) FailForGood(now int64, j *Job) {
	q.now = now
	if j.state != Running {
		return
	}
	q.noteFailure(j, Failed)
	j.detail.failures++
	q.endJob(j, Failed)
}
