package gearman

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/wire"
)

// These tests run in a bubble: time passes when all goroutines wait. The second
// job is the first that the slot itself reads.

// twoJobs has a worker do a job and ask for the next.
func twoJobs(t *testing.T, h Handler) *peer {
	f := newPipe(t)
	_, stop := runWorker(t, WorkerOptions{Options: Options{
		Servers: []Server{f.Server}, Dial: f.dial, MinBackoff: time.Hour, MaxBackoff: time.Hour,
	}}, handlers{"f": h})
	t.Cleanup(stop)
	s := f.accept()
	s.nc.SetDeadline(time.Time{})
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignAll, "H:1", "f", "", "", "1")
	s.expect(wire.WorkComplete, "H:1", "1")
	s.expect(wire.GrabJobAll)
	return s
}

func TestSilenceAfterJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twoJobs(t, echo)
		start := time.Now()
		s.expectEnd()
		if took := time.Since(start); took < replyTimeout || took > replyTimeout+2*maxUnread {
			t.Errorf("the slot waited %v, want %v", took, replyTimeout)
		}
	})
}

func TestLossInLaterJobIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started, ended := make(chan struct{}), make(chan error, 1)
		s := twoJobs(t, func(ctx context.Context, j *Job) ([]byte, error) {
			if j.Handle() == "H:1" {
				return j.Payload(), nil
			}
			close(started)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, nil
		})
		s.send(wire.JobAssignAll, "H:2", "f", "", "", "2")
		<-started
		s.close()
		start := time.Now()
		if cause := <-ended; !errors.Is(cause, ErrLost) {
			t.Errorf("got %v, want ErrLost", cause)
		}
		if took := time.Since(start); took > 2*maxUnread {
			t.Errorf("it was told after %v", took)
		}
	})
}

// After a long job the link reads again, and after the next short ones the slot.
func TestLongJobBetweenShortOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twoJobs(t, func(ctx context.Context, j *Job) ([]byte, error) {
			if j.Handle() == "H:3" {
				time.Sleep(time.Minute)
			}
			return j.Payload(), nil
		})
		for _, handle := range []string{"H:2", "H:3", "H:4", "H:5"} {
			s.send(wire.JobAssignAll, handle, "f", "", "", "x")
			s.expect(wire.WorkComplete, handle, "x")
			s.expect(wire.GrabJobAll)
		}
		s.send(wire.NoJob)
		s.expect(wire.PreSleep)
		s.send(wire.Noop)
		s.expect(wire.GrabJobAll)
		s.send(wire.JobAssignAll, "H:6", "f", "", "", "x")
		s.expect(wire.WorkComplete, "H:6", "x")
	})
}
