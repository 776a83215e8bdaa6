package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// Reading and changing single jobs, and listing jobs. The functions of this file
// are called under the lock, by the admin commands and by the methods of Server.

// defaultJobs is the number of jobs in a list if no limit is given.
const defaultJobs = 1000

// JobFilter selects jobs for [Server.Jobs].
type JobFilter struct {
	Function string   // of this function; "" for all functions
	State    JobState // in this state; "" for all except StateDead
}

// checkState returns an error for a state that jobs do not have.
func (f *JobFilter) checkState() error {
	switch f.State {
	case "", wire.StateWaiting, wire.StateDelayed, wire.StateRunning, wire.StateDead:
		return nil
	}
	return fmt.Errorf("state %q is none of %s, %s, %s and %s",
		f.State, wire.StateWaiting, wire.StateDelayed, wire.StateRunning, wire.StateDead)
}

// matchesJob reports whether a job that is not dead passes the filter.
func (f *JobFilter) matchesJob(j *queue.Job) bool {
	return (f.Function == "" || j.Function().Name() == f.Function) && (f.State == "" || jobState(j) == f.State)
}

// jobsListing lists up to limit jobs after the one with the handle after, the first
// jobs if after is empty, all if limit is negative. It returns ErrUnknownJob if
// after is no handle, or not the handle of a dead job in a list of these.
func (s *Server) jobsListing(filter JobFilter, after []byte, limit int) (*listing[wire.Job], error) {
	page := newJobPage(limit)
	l := &listing[wire.Job]{take: page.takeRows}
	count := func() (goOn bool) {
		limit--
		return limit != 0
	}
	if filter.State == wire.StateDead {
		var last *queue.DeadLetter
		if len(after) > 0 {
			if last = s.q.LookupDeadLetter(after); last == nil {
				return nil, s.errUnknownJob()
			}
		}
		l.step = s.eachDead(filter.Function, last, func(d *queue.DeadLetter) bool {
			page.addRow(deadRow(s.q.Wall(), d))
			return count()
		})
		return l, nil
	}
	var last uint64
	if len(after) > 0 {
		var ok bool
		if last, ok = s.q.Number(after); !ok {
			return nil, s.errUnknownJob()
		}
	}
	l.step = s.eachJob(last, func(now int64, j *queue.Job) bool {
		if !filter.matchesJob(j) {
			return true
		}
		page.addJob(now, s.q.Wall(), j)
		return count()
	})
	return l, nil
}

// eachDead returns the step of a listing that calls collect for each dead job of a
// function after last, until collect returns false.
func (s *Server) eachDead(function string, last *queue.DeadLetter, collect func(d *queue.DeadLetter) (goOn bool)) func(now int64, most int) bool {
	return func(_ int64, most int) (more bool) {
		b, ended := newBudget(most), false
		last, more = s.q.DeadLettersAfter(function, last, most, func(d *queue.DeadLetter) bool {
			ended = !collect(d)
			return !ended && b.spend(1)
		})
		return more && !ended
	}
}

// jobState returns the state of a job. A job that waits for the journal counts as
// waiting.
func jobState(j *queue.Job) wire.JobState {
	switch j.State() {
	case queue.Delayed:
		return wire.StateDelayed
	case queue.Running:
		return wire.StateRunning
	}
	return wire.StateWaiting
}

// jobRow describes a job, except for its handle, unique and reducer.
func jobRow(now, wall int64, j *queue.Job) wire.Job {
	num, den := j.Status()
	row := wire.Job{
		Function:    j.Function().Name(),
		Priority:    j.Priority().String(),
		State:       jobState(j),
		Background:  j.Background(),
		Size:        j.Size(),
		AgeMS:       max(wall-j.Accepted(), 0),
		RunAtMS:     j.RunAt(),
		Attempts:    j.Attempts(),
		Clients:     j.NumWaiters(),
		Numerator:   num,
		Denominator: den,
		Error:       strings.ToValidUTF8(j.Note(), "?"),
		Spilled:     j.Spilled(),
	}
	if j.State() == queue.Running {
		row.RunningMS = max(now-j.Started(), 0)
		if w := j.Worker(); w != nil {
			row.Worker, row.WorkerID = w.Owner.(*conn).addr, w.Owner.(*conn).id
		}
	}
	return row
}

// ErrUnknownJob is returned by methods of Server that name a job by its handle if
// the server does not have the job.
var ErrUnknownJob = errors.New("unknown job")

// errUnknownJob returns the error for a handle without a job: the job may also be
// one that the server has not read yet.
func (s *Server) errUnknownJob() error {
	if s.loading {
		return ErrLoading
	}
	return ErrUnknownJob
}

// findJob returns the row of a job, dead or not, and the job itself.
func (s *Server) findJob(now int64, handle []byte) (row wire.Job, j *queue.Job, d *queue.DeadLetter, err error) {
	if j = s.q.Lookup(handle); j != nil {
		row = jobRow(now, s.q.Wall(), j)
		row.Handle, row.Unique, row.Reducer = j.Handle(), string(j.Unique()), string(j.Reducer())
		return row, j, nil, nil
	}
	if d = s.q.LookupDeadLetter(handle); d != nil {
		return deadRow(s.q.Wall(), d), nil, d, nil
	}
	return row, nil, nil, s.errUnknownJob()
}

// cancelJob drops a waiting or dead job and cancels a running one, which its
// worker finishes and which does not run again. It calls done when the job is
// dropped, at once unless the job is on its way to the store.
func (s *Server) cancelJob(now int64, handle []byte, done func(err error)) {
	j, d := s.q.Lookup(handle), s.q.LookupDeadLetter(handle)
	switch {
	case j == nil && d == nil:
		done(s.errUnknownJob())
		return
	case j == nil:
		s.q.DropDeadLetter(d)
	case j.State() == queue.Held:
		s.q.Cancel(now, j)
		s.cancelHeld(j, done)
		return
	default:
		if !s.q.Cancel(now, j) && j.Journaled() {
			s.commit.endJob(j) // it ends with its worker, and must not come back
			j.SetJournaled(false)
		}
	}
	done(nil)
}

// cancelHeld calls done when the end of a job is in the store that is on its way
// there itself: the job ends when it has arrived.
func (s *Server) cancelHeld(j *queue.Job, done func(err error)) {
	onWay := s.commit.whenAdded(j, func(_ int64, err error) {
		if err != nil {
			done(notStoredError{err})
			return
		}
		s.commit.whenSettled(func(_ int64, err error) {
			if err != nil {
				done(notStoredError{err})
				return
			}
			done(nil)
		})
	})
	if !onWay { // held jobs are all on their way
		done(nil)
	}
}

// stopJob cancels a job as cancelJob does, and asks the worker of a running job to
// stop it. The state in done is "" for a job that did not run,
// wire.CancelledStopping if the worker was asked, and wire.CancelledRunsOn if it
// takes no such request.
func (s *Server) stopJob(now int64, handle []byte, done func(state string, err error)) {
	j := s.q.Lookup(handle)
	running := j != nil && j.State() == queue.Running
	s.cancelJob(now, handle, func(err error) {
		if err != nil || !running {
			done("", err)
			return
		}
		worker := j.Worker().Owner.(*conn)
		if !worker.cancels {
			done(wire.CancelledRunsOn, nil)
			return
		}
		worker.reply().sendPacket(wire.WorkFail, j.AppendHandle(nil))
		done(wire.CancelledStopping, nil)
	})
}

// notWaitingError is returned for a job that can be moved only while it waits. It
// has the state of the job.
type notWaitingError struct{ state string }

func (e notWaitingError) Error() string { return "the job is " + e.state }

func (e notWaitingError) Is(target error) bool { return target == ErrNotWaiting }

// ErrNotWaiting is matched by the error of [Server.Front] for a job that does not
// wait for a worker.
var ErrNotWaiting = errors.New("the job does not wait")

// moveToFront moves a waiting job to the head of its queue.
func (s *Server) moveToFront(handle []byte) error {
	j := s.q.Lookup(handle)
	switch {
	case j == nil && s.q.LookupDeadLetter(handle) == nil:
		return s.errUnknownJob()
	case j == nil:
		return notWaitingError{string(wire.StateDead)}
	case !s.q.MoveToFront(j):
		return notWaitingError{fmt.Sprint(j.State())}
	}
	return nil
}

// awaitLoaded returns when the server has read all jobs of its store. It returns
// ErrLoading if the store cannot be read.
func (s *Server) awaitLoaded(ctx context.Context) error {
	s.mu.Lock()
	switch {
	case !s.loading:
		s.mu.Unlock()
		return nil
	case s.unread.err != nil:
		s.mu.Unlock()
		return ErrLoading
	}
	ended := make(chan struct{})
	s.unread.others = append(s.unread.others, func() { close(ended) })
	s.mu.Unlock()
	select {
	case <-ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ended:
		return ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loading {
		return ErrLoading
	}
	return nil
}
