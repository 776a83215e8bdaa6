package gearman

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gm/pkg/wire"
)

func TestJobEnds(t *testing.T) {
	type packet struct {
		typ  wire.Type
		args []string
	}
	fail := packet{wire.WorkFail, []string{"H:1"}}
	tests := []struct {
		name string
		h    Handler
		want []packet
	}{
		{
			"nothing", func(context.Context, *Job) ([]byte, error) { return nil, nil },
			[]packet{{wire.WorkComplete, []string{"H:1", ""}}},
		},
		{
			"bytes", func(context.Context, *Job) ([]byte, error) { return []byte("a\x00b"), nil },
			[]packet{{wire.WorkComplete, []string{"H:1", "a\x00b"}}},
		},
		{
			"error", func(context.Context, *Job) ([]byte, error) { return []byte("x"), errors.New("no") },
			[]packet{fail},
		},
		{"exception", func(context.Context, *Job) ([]byte, error) {
			return nil, fmt.Errorf("wrapped: %w", &Exception{Data: []byte("oh\x00no")})
		}, []packet{{wire.WorkException, []string{"H:1", "oh\x00no"}}, fail}},
		{
			"panic", func(context.Context, *Job) ([]byte, error) { panic("out of cheese") },
			[]packet{{wire.WorkException, []string{"H:1", "out of cheese"}}, fail},
		},
		{"panic of the runtime", func(context.Context, *Job) ([]byte, error) {
			var j *Job
			return j.Payload(), nil
		}, []packet{{wire.WorkException, []string{"H:1", "runtime error: invalid memory address or nil pointer dereference"}}, fail}},
		{
			"result over the limit", func(context.Context, *Job) ([]byte, error) { return make([]byte, 101), nil },
			[]packet{{wire.WorkWarning, []string{"H:1", "the result of 101 bytes is over the limit of 100 bytes\n"}}, fail},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			o := workerOf(f)
			o.MaxPayload = 100
			runWorker(t, o, handlers{"f": tt.h})
			s := f.accept()
			s.expect(wire.CanDo, "f")
			s.expect(wire.GrabJobAll)
			s.send(wire.JobAssignUniq, "H:1", "f", "", "")
			for _, p := range tt.want {
				s.expect(p.typ, p.args...)
			}
			s.expect(wire.GrabJobAll)
			// The server's answer to the second packet has no effect.
			s.send(wire.Error, "JOB_NOT_FOUND", "Job given in work result not found")
			s.send(wire.NoJob)
			s.expect(wire.PreSleep)
			s.close()
		})
	}
}

func TestJobIsMuteAfterItsEnd(t *testing.T) {
	f := newFake(t)
	jobs := make(chan *Job, 1)
	runWorker(t, workerOf(f), handlers{"f": func(_ context.Context, j *Job) ([]byte, error) {
		jobs <- j
		return nil, nil
	}})
	s := f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssign, "H:1", "f", "")
	s.expect(wire.WorkComplete, "H:1", "")
	s.expect(wire.GrabJobAll)
	if err := (<-jobs).SendData([]byte("late")); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	s.close()
}

func TestErrRetryClosesOneConnection(t *testing.T) {
	f := newFake(t)
	o := workerOf(f)
	o.Concurrency = 2
	var lost []error
	o.OnLost = func(_ Server, err error) { lost = append(lost, err) }
	release := make(chan struct{})
	_, stop := runWorker(t, o, handlers{"f": func(_ context.Context, j *Job) ([]byte, error) {
		if string(j.Payload()) == "back" {
			j.SendWarning([]byte("not now"))
			return nil, fmt.Errorf("disk full: %w", ErrRetry)
		}
		<-release
		return []byte("done"), nil
	}})
	a, b := f.accept(), f.accept()
	for _, s := range []*peer{a, b} {
		s.expect(wire.CanDo, "f")
		s.expect(wire.GrabJobAll)
	}
	b.send(wire.JobAssignAll, "H:2", "f", "", "", "stay")
	a.send(wire.JobAssignAll, "H:1", "f", "", "", "back")
	a.expect(wire.WorkWarning, "H:1", "not now")
	a.expectEnd()
	a.close()
	again := f.accept()
	again.expect(wire.CanDo, "f")
	again.expect(wire.GrabJobAll)
	again.send(wire.NoJob)
	again.expect(wire.PreSleep)
	close(release)
	b.expect(wire.WorkComplete, "H:2", "done")
	b.expect(wire.GrabJobAll)
	b.send(wire.NoJob)
	b.expect(wire.PreSleep)
	b.close()
	again.close()
	stop()
	if len(lost) > 1 { // the two that the test has closed
		t.Errorf("the loss was told %d times: %v", len(lost), lost)
	}
}
