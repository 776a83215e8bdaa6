package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// The methods of this file are the admin commands for the program that runs the
// server. They return values and need no connection. All may be called by any
// goroutine.
//
// Reading: a method takes the lock a page at a time (500 rows or 500 us at most),
// so that a long list does not delay jobs. An item that comes or goes between two
// pages may be in the list or not.
//
// Changing: a method returns when the store has the change. The error matches
// ErrNotStored if the store has not taken it. When ctx ends before, the change may
// hold or not. The change is in the log.
//
// All return ErrClosed once the server is closed, and the cause of ctx when it
// ends.

// Stats returns the counters of the server and of its functions, in the order in
// which the functions were created. It does not wait while the server reads its
// store: then the counters are those of the jobs read so far, and Loading is set.
func (s *Server) Stats(ctx context.Context) (ServerStats, []FunctionStats, error) {
	var stats ServerStats
	functions, err := collectRows(ctx, s, func() (*listing[queue.FunctionSnapshot], error) {
		stats = ServerStats(s.serverStats())
		return s.functionsListing(), nil
	}, toFunctionStats)
	if err != nil {
		return ServerStats{}, nil, fmt.Errorf("%s: %w", wire.CmdStats, err)
	}
	return stats, functions, nil
}

// serverStats returns the counters of the server. The lock is held.
func (s *Server) serverStats() wire.ServerStats {
	totals := s.q.Totals()
	stats := wire.ServerStats{
		Version:     s.cfg.Version,
		PID:         os.Getpid(),
		UptimeMS:    time.Since(s.clocks.start).Milliseconds(),
		Connections: s.conns.n,
		Jobs:        s.q.Len(),
		Store:       s.cfg.StoreName,
		Draining:    s.draining,
		HeldBytes:   totals.Bytes,
		MemoryBytes: s.cfg.Memory,
		Spilled:     totals.Spilled,
		Loading:     s.loading,
		StoreError:  s.storeError(),
	}
	if s.commit != nil {
		stats.Batches, stats.BatchedOps = s.commit.batches, s.commit.batchedOps
	}
	return stats
}

// storeError returns the error of the store, empty if the store works. The lock is
// held.
func (s *Server) storeError() string {
	if s.loading && s.loadErr != nil {
		return s.loadErr.Error()
	}
	if s.commit == nil || s.commit.failing == nil {
		return ""
	}
	return s.commit.failing.Error()
}

// Workers returns a row for each connection, of a worker or not, the oldest first.
func (s *Server) Workers(ctx context.Context) ([]WorkerInfo, error) {
	rows, err := collectRows(ctx, s, func() (*listing[wire.Session], error) {
		return s.connsListing(false), nil
	}, toWorkerInfo)
	return rows, commandError([]string{wire.CmdWorkers}, err)
}

// Sessions returns a row for each connection, the oldest first, with more about it
// than Workers. OwedBytes is in bytes, AgeMS in milliseconds.
func (s *Server) Sessions(ctx context.Context) ([]Session, error) {
	rows, err := collectRows(ctx, s, func() (*listing[wire.Session], error) {
		return s.connsListing(true), nil
	}, toSession)
	return rows, commandError([]string{wire.CmdSessions}, err)
}

// Jobs returns up to n jobs that pass the filter, the oldest first, 1000 jobs if n
// is not positive. The first call has no cursor; next is the cursor for the jobs
// after the returned ones, empty after the last job. Dead jobs come in the order of
// their deaths.
//
// While the server reads its store Jobs waits until all jobs are there. The error
// is ErrLoading if the store cannot be read, and ErrUnknownJob if the cursor is
// none, or is that of a dead job that is no longer dead: begin again then.
func (s *Server) Jobs(ctx context.Context, filter JobFilter, cursor string, n int) (jobs []Job, next string, err error) {
	if n <= 0 {
		n = defaultJobs
	}
	if err = filter.checkState(); err == nil {
		err = s.awaitLoaded(ctx)
	}
	if err == nil {
		jobs, err = collectRows(ctx, s, func() (*listing[wire.Job], error) {
			return s.jobsListing(filter, []byte(cursor), n)
		}, toJob)
	}
	if len(jobs) == n {
		next = jobs[n-1].Handle
	}
	return jobs, next, commandError([]string{wire.CmdJobs}, err)
}

// Job returns one job, dead or not. The error is ErrUnknownJob if the server does
// not have it, and ErrLoading if the job may not be read from the store yet.
func (s *Server) Job(handle string) (Job, error) {
	row, err := underLock(s, func() (wire.Job, error) {
		row, _, _, err := s.findJob(s.q.Now(), []byte(handle))
		return row, err
	})
	return Job(row), commandError([]string{wire.CmdJob, handle}, err)
}

// Payload returns one job and its payload, which may have to be read from the
// store. The errors are those of Job; one that matches ErrNotStored says that the
// payload cannot be read.
func (s *Server) Payload(ctx context.Context, handle string) (Job, []byte, error) {
	type jobPayload struct {
		row     wire.Job
		payload []byte
	}
	results := make(chan operationResult[jobPayload], 1)
	_, err := underLock(s, func() (struct{}, error) {
		s.readJob(s.q.Now(), []byte(handle), func(row wire.Job, payload []byte, err error) {
			results <- operationResult[jobPayload]{jobPayload{row, payload}, err}
		})
		return struct{}{}, nil
	})
	var got operationResult[jobPayload]
	if err == nil {
		got, err = awaitResult(ctx, s, results)
	}
	if err == nil {
		err = got.err
	}
	if err != nil {
		return Job{}, nil, commandError([]string{wire.CmdJob, handle, payloadWord}, err)
	}
	return Job(got.value.row), bytes.Clone(got.value.payload), nil
}

// Result returns the outcome of a job that has ended and, if Kept is set, its
// result. The error is ErrUnknownJob if the server keeps nothing of the job: it has
// not ended, Config.KeepResults is 0, or the time to keep it is over.
func (s *Server) Result(handle string) (outcome Outcome, data []byte, err error) {
	kept, err := underLock(s, func() (kept wire.Outcome, err error) {
		kept, data, err = s.results.resultOf([]byte(handle))
		return kept, err
	})
	return Outcome(kept), bytes.Clone(data), commandError([]string{wire.CmdResult, handle}, err)
}

// Wait calls f with the outcome of each job when it ends, at once for a job that
// has ended; State is OutcomeUnknown for a job that the server does not have
// and does not remember. It returns when f has all outcomes. The error is
// ErrLoading if a job may not be read from the store yet.
func (s *Server) Wait(ctx context.Context, handles []string, f func(Outcome)) error {
	err := s.followJobs(ctx, handles, nil, f)
	if err != nil {
		err = fmt.Errorf("%s: %w", wire.CmdWait, err)
	}
	return err
}

// Follow calls f with each event of a job as it arrives from its worker, and returns
// the outcome of the job. The first events are the data that the server has kept so
// far (see Config.KeepResults) and the last status. After FollowAgain all
// earlier events are void: the job runs anew.
//
// The server reads no more from the worker while 1 MiB waits for f. The outcome of
// a job that the server does not have is OutcomeUnknown.
func (s *Server) Follow(ctx context.Context, handle string, f func(FollowEvent)) (outcome Outcome, err error) {
	err = s.followJobs(ctx, []string{handle}, f, func(o Outcome) { outcome = o })
	return outcome, commandError([]string{wire.CmdFollow, handle}, err)
}

// followJobs waits for the outcomes of jobs, and passes on the events of the first job
// if events is not nil.
func (s *Server) followJobs(ctx context.Context, handles []string, events func(FollowEvent), outcome func(Outcome)) error {
	if len(handles) == 0 {
		return s.errEnded(ctx)
	}
	outcomes := make(chan wire.Outcome, len(handles)) // each is sent once
	w := &outcomeWait{receive: func(o wire.Outcome, _ bool) { outcomes <- o }}
	follower := newProgramFollower()
	var followed *queue.Job
	if _, err := underLock(s, func() (struct{}, error) {
		if events != nil {
			followed = s.q.Lookup([]byte(handles[0]))
		}
		err := s.results.awaitOutcomes(w, asBytes(handles))
		if err == nil && followed != nil {
			s.results.addFollower(follower, followed)
		}
		return struct{}{}, err
	}); err != nil {
		return err
	}
	defer s.endFollow(w, follower, followed)
	passOn := func() {
		for _, e := range s.takeEvents(follower) {
			events(FollowEvent(e))
		}
	}
	for range handles {
		for got := false; !got; {
			select {
			case <-follower.arrived:
				passOn()
			case o := <-outcomes:
				passOn() // the events before it
				outcome(Outcome(o))
				got = true
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-s.ended:
				return ErrClosed
			}
		}
	}
	return nil
}

// takeEvents returns the events of a follower that have arrived.
func (s *Server) takeEvents(f *programFollower) []wire.FollowEvent {
	s.mu.Lock()
	defer s.endTurn(nil)
	return f.takeEvents()
}

// endFollow ends a wait for outcomes and the following of a job, if it is not nil.
func (s *Server) endFollow(w *outcomeWait, f *programFollower, followed *queue.Job) {
	s.mu.Lock()
	defer s.endTurn(nil)
	s.results.endWait(w)
	if followed != nil {
		s.results.removeFollower(followed, f)
	}
	f.endFollowing()
}

func asBytes(texts []string) [][]byte {
	all := make([][]byte, len(texts))
	for i, text := range texts {
		all[i] = []byte(text)
	}
	return all
}

// Create makes a function known, so that it is in all lists before it has a job or
// a worker. The name has 1 to 1024 bytes without NUL and line ends.
func (s *Server) Create(ctx context.Context, function string) error {
	return s.changeFunction(ctx, []string{wire.CmdCreateFunction, function}, func(int64) error {
		return s.createFunction([]byte(function))
	})
}

// Drop forgets a function, with its settings and waiting jobs, and returns the
// number of these. The error matches ErrInUse if the function has workers,
// running jobs or dead jobs, and ErrNoFunction if the server does not know
// it.
func (s *Server) Drop(ctx context.Context, function string) (dropped int, err error) {
	return s.runTask(ctx, []string{wire.CmdDropFunction, function}, func() (*task, error) {
		return s.dropTask([]byte(function))
	})
}

// Pause has the server hand out no more jobs of a function; it still accepts them.
// The error matches ErrNoFunction if the server does not know the function.
func (s *Server) Pause(ctx context.Context, function string) error {
	return s.changeFunction(ctx, []string{wire.CmdPause, function}, func(now int64) error {
		return s.pauseFunction(now, []byte(function), true)
	})
}

// Resume ends a Pause. The errors are those of Pause.
func (s *Server) Resume(ctx context.Context, function string) error {
	return s.changeFunction(ctx, []string{wire.CmdResume, function}, func(now int64) error {
		return s.pauseFunction(now, []byte(function), false)
	})
}

// Limit limits the jobs of a function, running ones included, for submissions of
// high, normal and low priority; 0 is no limit. A submission over its limit is
// refused. Limit creates the function if needed.
func (s *Server) Limit(ctx context.Context, function string, limits [3]int) error {
	command := []string{wire.CmdMaxQueue, function}
	for _, n := range limits {
		command = append(command, strconv.Itoa(n))
	}
	return s.changeFunction(ctx, command, func(int64) error {
		if slices.Min(limits[:]) < 0 {
			return errors.New("a limit must not be negative")
		}
		return s.limitFunction([]byte(function), limits)
	})
}

// Policy returns the policy for the jobs of a function that fail, or nil if such a
// job is not retried. The error matches ErrNoFunction if the server does not know the
// function.
func (s *Server) Policy(function string) (*Policy, error) {
	p, err := underLock(s, func() (*Policy, error) {
		p, err := s.policyOf([]byte(function))
		if p == nil {
			return nil, err
		}
		return ptr(policyOfQueue(p)), nil
	})
	return p, commandError([]string{wire.CmdPolicy, function}, err)
}

// SetPolicy sets the policy for the jobs of a function that fail from now on, or
// removes it if p is nil. It creates the function if needed. The error is
// ErrLoading while the server reads its store.
func (s *Server) SetPolicy(ctx context.Context, function string, p *Policy) error {
	var set *queue.Policy
	if p != nil {
		set = p.toQueue()
	}
	command := []string{wire.CmdPolicy, function, policyText(set)}
	if err := checkPolicy(p); err != nil {
		return commandError(command, err)
	}
	return s.changeFunction(ctx, command, func(int64) error {
		return s.setPolicy([]byte(function), set)
	})
}

// Cancel drops a waiting, delayed or dead job. A running job goes on, and does not
// run again. The error is ErrUnknownJob if the server does not have the job.
func (s *Server) Cancel(ctx context.Context, handle string) error {
	_, err := runChange(ctx, s, []string{wire.CmdCancelJob, handle}, func(now int64, done func(struct{}, error)) {
		s.cancelJob(now, []byte(handle), func(err error) { done(struct{}{}, err) })
	})
	return err
}

// CancelRunning is Cancel, and asks the worker of a running job to stop it.
// runsOn reports whether the job runs and its worker cannot be asked: only workers
// with the option
// "gm-cancel" can, such as those of gm and package gearman (WorkerOptions.Cancelable).
func (s *Server) CancelRunning(ctx context.Context, handle string) (runsOn bool, err error) {
	state, err := runChange(ctx, s, []string{wire.CmdCancelRunning, handle}, func(now int64, done func(string, error)) {
		s.stopJob(now, []byte(handle), done)
	})
	return state == wire.CancelledRunsOn, err
}

// Front moves a waiting job to the head of its queue, before all jobs of its
// function and priority. The store does not keep that. The error is ErrUnknownJob
// if the server does not have the job, and matches ErrNotWaiting if the job does
// not wait.
func (s *Server) Front(ctx context.Context, handle string) error {
	return s.changeFunction(ctx, []string{wire.CmdFront, handle}, func(int64) error {
		return s.moveToFront([]byte(handle))
	})
}

// Retry makes a dead job wait again, with its handle and without its attempts. The
// error is ErrUnknownJob if the job is not dead, and matches ErrNotStored if the
// store has not taken it: then it stays dead.
func (s *Server) Retry(ctx context.Context, handle string) error {
	_, err := runChange(ctx, s, []string{wire.CmdRetryJob, handle}, func(now int64, done func(struct{}, error)) {
		s.retryJob(now, []byte(handle), func(err error) { done(struct{}{}, err) })
	})
	return err
}

// RetryAll is Retry for all dead jobs of a function. It returns the number of jobs
// that wait again, also with an error.
func (s *Server) RetryAll(ctx context.Context, function string) (retried int, err error) {
	return s.runTask(ctx, []string{wire.CmdRetryAll, function}, func() (*task, error) {
		return s.retryTask([]byte(function))
	})
}

// Purge drops the waiting and delayed jobs of a function and returns their number.
// Their clients get WORK_FAIL. The error matches
// ErrNoFunction if the server does not know the function.
func (s *Server) Purge(ctx context.Context, function string) (dropped int, err error) {
	return s.runTask(ctx, []string{wire.CmdPurge, function}, func() (*task, error) {
		return s.purgeTask([]byte(function))
	})
}

// PurgeDead forgets the dead jobs of a function and returns their number.
func (s *Server) PurgeDead(ctx context.Context, function string) (forgotten int, err error) {
	return s.runTask(ctx, []string{wire.CmdPurgeDead, function}, func() (*task, error) {
		return s.purgeDeadTask([]byte(function))
	})
}

// changeFunction is runChange for a change that is done at once and has no value.
func (s *Server) changeFunction(ctx context.Context, command []string, change func(now int64) error) error {
	_, err := runChange(ctx, s, command, func(now int64, done func(struct{}, error)) {
		done(struct{}{}, change(now))
	})
	return err
}
