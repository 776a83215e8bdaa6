package gearman

import (
	"context"
	"errors"
	"testing"

	"gm/pkg/wire"
)

// loan is a job that has lent its slot and waits until finish is closed.
type loan struct {
	job    *Job
	end    func()
	finish chan struct{}
}

// lendTo is a handler for payloads of "wait"; those of others are its results.
func lendTo(loans chan<- loan) Handler {
	return func(ctx context.Context, j *Job) ([]byte, error) {
		if string(j.Payload()) != "wait" {
			return j.Payload(), nil
		}
		finish := make(chan struct{})
		loans <- loan{j, j.Lend(), finish}
		select {
		case <-finish:
			return []byte("done"), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// slot takes the beginning of a slot's connection.
func (f *fake) slot() *peer {
	f.t.Helper()
	s := f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	return s
}

func (p *peer) assign(handle, payload string) {
	p.t.Helper()
	p.send(wire.JobAssignAll, handle, "f", "", "", payload)
}

// sleeps tells a slot that there is no job.
func (p *peer) sleeps() {
	p.t.Helper()
	p.send(wire.NoJob)
	p.expect(wire.PreSleep)
}

// ends waits for a slot's connection to end.
func (p *peer) ends() {
	p.t.Helper()
	p.expectEnd()
	p.close()
}

func TestLendOpensASlot(t *testing.T) {
	f := newFake(t)
	loans := make(chan loan, 1)
	runWorker(t, workerOf(f), handlers{"f": lendTo(loans)})
	owner := f.slot()
	owner.assign("H:1", "wait")
	first := within(t, "the loan", loans)
	first.job.Lend()() // a job has one

	spare := f.slot()
	spare.assign("H:2", "part")
	spare.expect(wire.WorkComplete, "H:2", "part")
	spare.expect(wire.GrabJobAll)
	spare.sleeps()
	close(first.finish)
	owner.expect(wire.WorkComplete, "H:1", "done")
	spare.ends()
	owner.expect(wire.GrabJobAll)
	first.end()
	first.job.Lend()() // it has ended
	owner.sleeps()
	owner.close()
}

func TestLoanEndsBeforeTheHandler(t *testing.T) {
	f := newFake(t)
	loans := make(chan loan, 1)
	runWorker(t, workerOf(f), handlers{"f": lendTo(loans)})
	owner := f.slot()
	owner.assign("H:1", "wait")
	first := within(t, "the loan", loans)
	spare := f.slot()
	spare.sleeps()
	first.end()
	spare.ends()
	close(first.finish)
	owner.expect(wire.WorkComplete, "H:1", "done")
	owner.expect(wire.GrabJobAll)
	owner.sleeps()
	owner.close()
}

// A slot whose handler has returned takes no job before the one that was opened
// for it has done its own: else there would be one job too many at a time.
func TestLentSlotIsAwaited(t *testing.T) {
	f := newFake(t)
	loans := make(chan loan, 1)
	runWorker(t, workerOf(f), handlers{"f": lendTo(loans)})
	owner := f.slot()
	owner.assign("H:1", "wait")
	first := within(t, "the loan", loans)
	spare := f.slot()
	spare.assign("H:2", "wait")
	second := within(t, "the loan of the spare", loans)
	third := f.slot()
	third.sleeps()

	close(first.finish)
	owner.expect(wire.WorkComplete, "H:1", "done")
	third.send(wire.Noop)
	third.expect(wire.GrabJobAll) // the only one that does
	third.assign("H:3", "part")
	third.expect(wire.WorkComplete, "H:3", "part")
	third.expect(wire.GrabJobAll)
	third.sleeps()
	close(second.finish)
	spare.expect(wire.WorkComplete, "H:2", "done")
	third.ends()
	spare.ends()
	owner.expect(wire.GrabJobAll)
	owner.sleeps()
	owner.close()
}

// The jobs for which a handler waits are done even after Stop or MaxJobs jobs.
func TestLentSlotOutlastsStop(t *testing.T) {
	tests := []struct {
		name string
		max  int
		stop func(*Worker)
	}{
		{"stop", 0, (*Worker).Stop},
		{"most jobs", 1, func(*Worker) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			o := workerOf(f)
			o.MaxJobs = tt.max
			loans := make(chan loan, 1)
			w, stop := runWorker(t, o, handlers{"f": lendTo(loans)})
			owner := f.slot()
			owner.assign("H:1", "wait")
			tt.stop(w)
			first := within(t, "the loan", loans)
			spare := f.slot()
			spare.sleeps()
			for _, handle := range []string{"H:2", "H:3"} {
				spare.send(wire.Noop)
				spare.expect(wire.GrabJobAll)
				spare.assign(handle, "part")
				spare.expect(wire.WorkComplete, handle, "part")
				spare.expect(wire.GrabJobAll)
				spare.sleeps()
			}
			close(first.finish)
			owner.expect(wire.WorkComplete, "H:1", "done")
			owner.ends()
			spare.ends()
			stop()
		})
	}
}

func TestAbortEndsALoan(t *testing.T) {
	f := newFake(t)
	loans := make(chan loan, 1)
	w, stop := runWorker(t, workerOf(f), handlers{"f": lendTo(loans)})
	owner := f.slot()
	owner.assign("H:1", "wait")
	within(t, "the loan", loans)
	spare := f.slot()
	spare.assign("H:2", "wait")
	within(t, "the loan of the spare", loans)
	third := f.slot()
	third.sleeps()
	w.Abort()
	owner.expect(wire.WorkFail, "H:1")
	spare.expect(wire.WorkFail, "H:2")
	third.ends()
	spare.ends()
	owner.ends()
	stop()
}

// A job that goes back, or is lost, ends its loan like any other.
func TestLoanOfALostJobEnds(t *testing.T) {
	f := newFake(t)
	lost := make(chan error, 1)
	runWorker(t, workerOf(f), handlers{"f": func(ctx context.Context, j *Job) ([]byte, error) {
		j.Lend()
		<-ctx.Done()
		lost <- context.Cause(ctx)
		return nil, ErrRetry
	}})
	owner := f.slot()
	owner.assign("H:1", "")
	spare := f.slot()
	spare.sleeps()
	owner.close()
	if err := within(t, "the handler's end", lost); !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	spare.ends()
	again := f.slot()
	again.sleeps()
	again.close()
}
