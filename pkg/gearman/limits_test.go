package gearman

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gm/pkg/wire"
)

// A payload over the limit fails its own job, with the reason, and no other: be
// it the link that reads or the slot.
func TestOversizedJobFailsAlone(t *testing.T) {
	f := newFake(t)
	o := workerOf(f)
	o.MaxPayload = 100
	runWorker(t, o, handlers{"f": echo})
	s := f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	reason := func(typ string, size string) string {
		return typ + " of " + size + " bytes: the payload is over the limit of 100 bytes\n"
	}
	s.send(wire.JobAssignUniq, "H:1", "f", "", strings.Repeat("x", 200_000))
	s.expect(wire.WorkWarning, "H:1", reason("JOB_ASSIGN_UNIQ", "200007"))
	s.expect(wire.WorkFail, "H:1")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:2", "f", "", "small")
	s.expect(wire.WorkComplete, "H:2", "small")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:3", "f", "", strings.Repeat("x", 101))
	s.expect(wire.WorkWarning, "H:3", reason("JOB_ASSIGN_UNIQ", "108"))
	s.expect(wire.WorkFail, "H:3")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:4", "f", "", strings.Repeat("x", 100))
	s.expect(wire.WorkComplete, "H:4", strings.Repeat("x", 100))
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	s.close()
}

// A result, warning or exception over the limit is cut, split, or fails the job
// immediately with the reason, and the job is not retried.
func TestWhatIsOverTheLimitNeverReachesTheServer(t *testing.T) {
	long := []byte(strings.Repeat("0123456789", 25))
	f := newFake(t)
	o := workerOf(f)
	o.MaxPayload = 100
	runWorker(t, o, handlers{
		"result":    func(context.Context, *Job) ([]byte, error) { return long, nil },
		"exception": func(context.Context, *Job) ([]byte, error) { return nil, &Exception{Data: long} },
		"warning":   func(_ context.Context, j *Job) ([]byte, error) { return nil, j.SendWarning(long) },
		"data":      func(_ context.Context, j *Job) ([]byte, error) { return nil, j.SendData(long) },
	})
	s := f.accept()
	for range 4 {
		if typ, _ := s.read(); typ != wire.CanDo {
			t.Fatalf("got %v", typ)
		}
	}
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:1", "result", "", "")
	s.expect(wire.WorkWarning, "H:1", "the result of 250 bytes is over the limit of 100 bytes\n")
	s.expect(wire.WorkFail, "H:1")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:2", "exception", "", "")
	s.expect(wire.WorkException, "H:2", string(long[150:]))
	s.expect(wire.WorkFail, "H:2")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:3", "warning", "", "")
	s.expect(wire.WorkWarning, "H:3", string(long[150:]))
	s.expect(wire.WorkComplete, "H:3", "")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:4", "data", "", "")
	s.expect(wire.WorkData, "H:4", string(long[:100]))
	s.expect(wire.WorkData, "H:4", string(long[100:200]))
	s.expect(wire.WorkData, "H:4", string(long[200:]))
	s.expect(wire.WorkComplete, "H:4", "")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	s.close()
}

// The end of a job is sent again if the connection is lost before the server has
// confirmed it by its next answer.
func TestUnconfirmedEndIsSentAgain(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler Handler
		end     wire.Type
		args    []string
		again   bool
	}{
		{"complete", echo, wire.WorkComplete, []string{"H:1", "in"}, true},
		{"fail", func(context.Context, *Job) ([]byte, error) { return nil, errors.New("no") }, wire.WorkFail, []string{"H:1"}, true},
		{"streamed", func(_ context.Context, j *Job) ([]byte, error) { return nil, j.SendData([]byte("part")) }, wire.WorkComplete, []string{"H:1", ""}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFake(t)
			runWorker(t, workerOf(f), handlers{"f": test.handler})
			s := f.accept()
			s.expect(wire.CanDo, "f")
			s.expect(wire.GrabJobAll)
			s.send(wire.JobAssignUniq, "H:1", "f", "", "in")
			if test.name == "streamed" {
				s.expect(wire.WorkData, "H:1", "part")
			}
			s.expect(test.end, test.args...)
			s.expect(wire.GrabJobAll)
			s.nc.Close()

			s = f.accept()
			s.expect(wire.CanDo, "f")
			if test.again {
				s.expect(test.end, test.args...)
			}
			s.expect(wire.GrabJobAll)
			s.nc.Close() // before it is confirmed: once more

			s = f.accept()
			s.expect(wire.CanDo, "f")
			if test.again {
				s.expect(test.end, test.args...)
				s.send(wire.Error, "JOB_NOT_FOUND", "it was done elsewhere") // no harm
			}
			s.expect(wire.GrabJobAll)
			s.send(wire.NoJob)
			s.expect(wire.PreSleep)
			s.nc.Close()

			s = f.accept()
			s.expect(wire.CanDo, "f")
			s.expect(wire.GrabJobAll) // confirmed
			s.send(wire.NoJob)
			s.expect(wire.PreSleep)
			s.close()
		})
	}
}

// A handler that reports the loss of its connection has not failed its job.
func TestLostJobIsNotFailedLater(t *testing.T) {
	f := newFake(t)
	runWorker(t, workerOf(f), handlers{"f": func(ctx context.Context, _ *Job) ([]byte, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}, "g": func(ctx context.Context, _ *Job) ([]byte, error) {
		<-ctx.Done()
		return []byte("done all the same"), nil
	}})
	s := f.accept()
	s.read()
	s.read()
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:1", "f", "", "in")
	s.nc.Close()

	s = f.accept()
	s.read()
	s.read()
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:2", "g", "", "in")
	s.nc.Close()

	s = f.accept()
	s.read()
	s.read()
	s.expect(wire.WorkComplete, "H:2", "done all the same")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	s.close()
}

// A server that is shutting down is one that is away.
func TestWorkerLeavesAServerThatShutsDown(t *testing.T) {
	f := newFake(t)
	runWorker(t, workerOf(f), handlers{"f": echo})
	s := f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.Error, wire.CodeShutdown, "the server is shutting down")
	s.expectEnd()
	s = f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:1", "f", "", "in")
	s.expect(wire.WorkComplete, "H:1", "in")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	s.close()
}
