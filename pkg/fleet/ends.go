package fleet

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"gm/pkg/gearman"
)

// Wait calls f with the outcome of each job when it ends, and with the server that had
// the job. It returns when all jobs have ended, or when no server can report more. A job
// that no server knows has the state gearman.OutcomeUnknown and no server. Calls of f do
// not overlap. If f returns an error, Wait stops and returns it.
//
// Only gm's server supports Wait; see gearman.Admin.Wait. A server that cannot be reached
// counts as a server without the jobs. Wait returns such servers as absent, or an error
// that wraps gearman.ErrNoServer if no server could be reached.
func Wait(ctx context.Context, o gearman.Options, handles []gearman.Handle, f func(gearman.Server, gearman.Outcome) error) (absent []Absent, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	handles = slices.Clone(handles)
	slices.Sort(handles)
	handles = slices.Compact(handles)
	w := &jobWait{report: f, stop: stop, asked: map[gearman.Handle]int{}}
	for _, h := range handles {
		w.asked[h] = len(o.Servers)
	}
	answers := askEach(ctx, o, func(ctx context.Context, admin *gearman.Admin) (struct{}, error) {
		return struct{}{}, admin.Wait(ctx, handles, func(outcome gearman.Outcome) error {
			return w.addOutcome(admin.Server(), outcome)
		})
	})
	if w.err != nil {
		return nil, w.err
	}
	if len(w.asked) == 0 {
		return nil, nil
	}
	for _, a := range answers {
		if a.Err != nil && !errors.Is(a.Err, gearman.ErrNoServer) {
			return nil, a.Err
		}
	}
	if _, absent, err = Split(answers); err != nil {
		return nil, err
	}
	for _, h := range handles {
		if w.asked[h] == 0 {
			continue
		}
		if err := f(gearman.Server{}, gearman.Outcome{Handle: h, State: gearman.OutcomeUnknown}); err != nil {
			return absent, err
		}
	}
	return absent, nil
}

// errAllEnded ends the requests to servers when the outcome of every job is known.
var errAllEnded = errors.New("all jobs have ended")

// jobWait collects the outcomes that several servers report.
type jobWait struct {
	report func(gearman.Server, gearman.Outcome) error
	stop   context.CancelCauseFunc // ends the requests to all servers

	mu    sync.Mutex
	asked map[gearman.Handle]int // by job without an outcome, the servers that may have it
	err   error                  // of report
}

// addOutcome reports the outcome of a job, unless another server may have the job.
func (w *jobWait) addOutcome(s gearman.Server, o gearman.Outcome) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || w.asked[o.Handle] == 0 {
		return w.err
	}
	if o.State == gearman.OutcomeUnknown {
		if w.asked[o.Handle]--; w.asked[o.Handle] > 0 {
			return nil
		}
		s = gearman.Server{}
	}
	delete(w.asked, o.Handle)
	if w.err = w.report(s, o); w.err != nil {
		w.stop(w.err)
	} else if len(w.asked) == 0 {
		w.stop(errAllEnded)
	}
	return w.err
}

// Follow calls f with the events of a job on any of the servers until the job ends, and
// returns its outcome with the server that had it. Calls of f do not overlap. If f
// returns an error, Follow stops and returns it.
//
// Only gm's server supports Follow; see gearman.Admin.Follow. The state of a job that no
// server knows is gearman.OutcomeUnknown; absent are then the servers that failed.
func Follow(ctx context.Context, o gearman.Options, h gearman.Handle, f func(gearman.Server, gearman.FollowEvent) error) (outcome Answer[gearman.Outcome], absent []Absent, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var mu sync.Mutex
	var failed error // of f
	answers := askEach(ctx, o, func(ctx context.Context, admin *gearman.Admin) (gearman.Outcome, error) {
		outcome, err := admin.Follow(ctx, h, func(event gearman.FollowEvent) error {
			mu.Lock()
			defer mu.Unlock()
			if failed != nil {
				return failed
			}
			if failed = f(admin.Server(), event); failed != nil {
				stop(failed)
			}
			return failed
		})
		if err == nil && outcome.State != gearman.OutcomeUnknown {
			stop(errOtherServer)
		}
		return outcome, err
	})
	if failed != nil {
		return Answer[gearman.Outcome]{}, nil, failed
	}
	for _, a := range answers {
		if a.Err == nil && a.Value.State != gearman.OutcomeUnknown {
			return a, nil, nil
		}
	}
	_, absent, err = Split(answers)
	return Answer[gearman.Outcome]{Value: gearman.Outcome{Handle: h, State: gearman.OutcomeUnknown}}, absent, err
}

// errOtherServer ends the requests to the servers that do not have the job.
var errOtherServer = errors.New("the job was on another server")

// OutcomeUnended is the state that ResultOf returns for a job that has not ended.
const OutcomeUnended gearman.OutcomeState = "unended"

// ResultOf asks one server for the outcome of a job, and writes its result to w as it
// arrives; see gearman.Admin.Result. The outcome of a job that waits or runs has the
// state OutcomeUnended, and that of a job that the server does not know
// gearman.OutcomeUnknown.
func ResultOf(ctx context.Context, admin *gearman.Admin, h gearman.Handle, w io.Writer) (gearman.Outcome, error) {
	outcome, err := admin.Result(ctx, h, w)
	if err == nil || !errors.Is(err, gearman.ErrUnknownJob) {
		return outcome, err
	}
	job, err := admin.Job(ctx, h)
	switch {
	case errors.Is(err, gearman.ErrUnknownJob):
		return gearman.Outcome{Handle: h, State: gearman.OutcomeUnknown}, nil
	case err != nil:
		return gearman.Outcome{}, err
	case job.State == gearman.StateDead:
		return gearman.Outcome{Handle: h, State: gearman.OutcomeDead, Error: job.Error}, nil
	}
	return gearman.Outcome{Handle: h, State: OutcomeUnended}, nil
}
