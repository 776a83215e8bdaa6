package gearman

import (
	"context"
	"errors"
	"slices"
	"testing"

	"gm/pkg/wire"
)

// The first middleware is the outermost. Each can change the context, the result
// and the error of a job, and sees a panic before the worker does.
func TestMiddlewareWrapsHandlers(t *testing.T) {
	f := newFake(t)
	type key struct{}
	var calls []string
	named := func(name string) func(Handler) Handler {
		return func(next Handler) Handler {
			return func(ctx context.Context, j *Job) ([]byte, error) {
				calls = append(calls, name+" before "+j.Function())
				defer func() { calls = append(calls, name+" after") }()
				data, err := next(context.WithValue(ctx, key{}, name), j)
				return append(data, name...), err
			}
		}
	}
	hide := func(next Handler) Handler {
		return func(ctx context.Context, j *Job) ([]byte, error) {
			data, err := next(ctx, j)
			if errors.Is(err, ErrTooLarge) {
				err = nil
			}
			return data, err
		}
	}
	o := workerOf(f)
	o.Middleware = []func(Handler) Handler{hide, named("outer"), named("inner")}
	_, stop := runWorker(t, o, handlers{"f": func(ctx context.Context, j *Job) ([]byte, error) {
		calls = append(calls, "handler in "+ctx.Value(key{}).(string))
		if string(j.Payload()) == "panic" {
			panic("at the disco")
		}
		return slices.Concat(j.Payload(), []byte(" ")), ErrTooLarge
	}})
	s := f.accept()
	s.expect(wire.CanDo, "f")
	for _, tt := range []struct {
		payload string
		typ     wire.Type
		args    []string
	}{
		{"in", wire.WorkComplete, []string{"H:1", "in innerouter"}},
		{"panic", wire.WorkException, []string{"H:1", "at the disco"}},
	} {
		s.expect(wire.GrabJobAll)
		s.send(wire.JobAssignAll, "H:1", "f", "", "", tt.payload)
		s.expect(tt.typ, tt.args...)
		if tt.typ == wire.WorkException {
			s.expect(wire.WorkFail, "H:1")
		}
		want := []string{"outer before f", "inner before f", "handler in inner", "inner after", "outer after"}
		if !slices.Equal(calls, want) {
			t.Errorf("%s: calls are %q, want %q", tt.payload, calls, want)
		}
		calls = nil
	}
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	go stop()
	s.expectEnd()
}

func TestMiddlewareThatIsMissing(t *testing.T) {
	if _, err := NewWorker(WorkerOptions{Middleware: []func(Handler) Handler{nil}}); err == nil {
		t.Error("a middleware that is nil is accepted")
	}
	none := func(Handler) Handler { return nil }
	same := func(h Handler) Handler { return h }
	for _, all := range [][]func(Handler) Handler{{none}, {same, none}, {none, same}} {
		w, err := NewWorker(WorkerOptions{Middleware: all})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Handle("f", echo); err == nil {
			t.Error("a middleware that returns no handler is accepted")
		}
	}
}
