package queue

import (
	"fmt"

	"gm/pkg/store"
)

// Restore adds a job from the journal, behind the existing jobs but before
// those that SetLoading holds back, and takes over the record's payload. It is
// a background job and has the mark of SetJournaled. Limits do not apply to it,
// and it does not coalesce: of several jobs with one unique all run, and
// submissions join the first. If memory is short, the queue drops the payload.
func (q *Queue) Restore(now int64, r *store.Record) (*Job, error) {
	return q.restoreJob(now, r, 0)
}

// RestoreHead is Restore for a record without its payload of size bytes, which
// stays in the journal. If the unique is "-", nothing joins the job until
// Loaded or SetPrint is called.
func (q *Queue) RestoreHead(now int64, r *store.Record, size int) (*Job, error) {
	return q.restoreJob(now, r, size)
}

func (q *Queue) restoreJob(now int64, r *store.Record, size int) (*Job, error) {
	q.now = now
	if err := q.checkRestored(r); err != nil {
		return nil, fmt.Errorf("restore job %d: %w", r.Seq, err)
	}
	q.before = max(q.before, r.Seq)
	j := newJob(q.functionOrNew([]byte(r.Function)), r, size)
	j.marks |= journaled | stored
	if failures, losses := r.Tried(); r.RunAt > 0 || failures+losses > 0 {
		d := q.detailOf(j)
		d.runAt, d.failures, d.losses = r.RunAt, int32(failures), int32(losses)
	}
	q.indexJob(j, q.place(q.hashOf(j)))
	q.startRestored(j)
	q.spillIfNeeded(j)
	return j, nil
}

// startRestored is startJob for a restored job. If the wall clock was set back, a
// job that waits for a retry waits no longer than its function's policy allows.
func (q *Queue) startRestored(j *Job) {
	p := j.function.policy
	if p != nil && j.Failures() > 0 && j.RunAt()-q.Wall() > p.Max {
		j.detail.runAt = q.Wall() + p.Max
		q.retryAfter(j, p.Max)
		return
	}
	q.startJob(j)
}

// checkRestored checks whether r can be a job, and raises the last number to r's.
func (q *Queue) checkRestored(r *store.Record) error {
	switch {
	case r.Priority >= priorities:
		return fmt.Errorf("no such priority: %d", r.Priority)
	case len(r.Unique) > maxName || len(r.Reducer) > maxName:
		return ErrTooLong
	case q.jobs.job(r.Seq) != nil || q.deadBySeq[r.Seq] != nil:
		return errNumberTaken
	}
	q.jobs.seq = max(q.jobs.seq, r.Seq)
	return nil
}

// newJob returns a background job of r, spilled if size is not 0. It takes
// over r's payload.
func newJob(f *Function, r *store.Record, size int) *Job {
	j := &Job{
		seq:        r.Seq,
		function:   f,
		uniqueLen:  uint16(len(r.Unique)),
		reducerLen: uint16(len(r.Reducer)),
		accepted:   r.Accepted,
		priority:   rank(r.Priority),
		marks:      background,
	}
	front := r.Payload
	if size > 0 {
		front = newStub(size, len(r.Unique)+len(r.Reducer))
		j.marks |= spilled
	}
	j.data = append(append(front, r.Unique...), r.Reducer...)
	return j
}

// SetLoading announces that Restore will add jobs, in the order of Seq, that
// are older than the jobs that Submit adds from now on. Until EndLoading, new
// background jobs wait behind them and no worker gets them; new foreground jobs
// are handed out.
func (q *Queue) SetLoading(now int64) {
	q.now = now
	if !q.loading {
		q.loading, q.before, q.movedUp = true, q.jobs.seq, nil
	}
}

// EndLoading releases the jobs that SetLoading has held back, one function
// after the other. It takes up to most steps, one for each job and each
// function, and reports whether it must be called again.
func (q *Queue) EndLoading(now int64, most int) (more bool) {
	q.now = now
	for q.loading {
		f := q.functions.first
		if q.movedUp != nil {
			f = q.movedUp.next
		}
		switch {
		case f == nil:
			q.loading, q.before, q.movedUp = false, q.jobs.seq, nil
			return false
		case most <= 0:
			return true
		}
		moved, all := q.moveUp(f, most)
		if most -= moved + 1; all {
			q.movedUp = f
		}
	}
	return false
}

// moveUp moves up to most jobs that wait behind f's restored ones to the tail
// of its queue. It returns how many, and whether these were all.
func (q *Queue) moveUp(f *Function, most int) (moved int, all bool) {
	all = true
	for p := range priorities {
		from, to := &f.behind[p], &f.waiting[p]
		was := to.n
		for ; from.head != nil && moved < most; moved++ {
			j := from.head
			from.removeJob(j)
			j.mark(behind, false)
			to.pushBack(j)
			if !j.is(background) { // its promotion was aborted
				f.countForeground(1)
			}
		}
		switch {
		case f.withheld[p]:
			f.releaseList(rank(p))
		case was == 0 && to.n > 0 && !f.paused:
			f.setReady(rank(p), true)
		}
		all = all && from.n == 0
	}
	q.scheduleRouse(f)
	return moved, all
}

// waitsForLoading reports whether j must wait for jobs that are not restored yet.
func (q *Queue) waitsForLoading(j *Job) bool {
	return q.loading && j.is(background) && j.seq > q.before && (q.movedUp == nil || j.function.id > q.movedUp.id)
}

// waitAtTail puts j at the tail of its queue and wakes workers for it, or holds
// it back if older jobs are not restored yet.
func (q *Queue) waitAtTail(j *Job) {
	if !q.waitsForLoading(j) {
		q.enqueueJob(j, (*jobList).pushBack)
		return
	}
	f := j.function
	j.state = Waiting
	j.mark(behind, true)
	if j.is(spilled) {
		f.spilled++
	}
	f.behind[j.priority].pushBack(j)
}
