package gearman

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/wire"
)

// These tests run in a bubble: time passes when all goroutines wait.

func TestTaskTimeoutAndContext(t *testing.T) {
	tests := []struct {
		name             string
		timeout, context time.Duration
		want             error
		after            time.Duration
	}{
		{"timeout of the task", 3 * time.Second, time.Minute, ErrTimeout, 3 * time.Second},
		{"deadline of the context", time.Minute, 2 * time.Second, context.DeadlineExceeded, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newPipe(t)
				c := testClient(t, Options{Servers: []Server{f.Server}, Dial: f.dial})
				ctx, cancel := context.WithTimeout(t.Context(), tt.context)
				defer cancel()
				start := time.Now()
				r, err := c.StartAsync(ctx, &Task{Function: "f", Timeout: tt.timeout, Retries: 3})
				if err != nil {
					t.Fatal(err)
				}
				s := f.acceptClient()
				s.expect(wire.SubmitJob, "f", "", "")
				s.send(wire.JobCreated, "H:1")
				_, err = end(t, r)
				if !errors.Is(err, tt.want) || time.Since(start) != tt.after {
					t.Errorf("got %v after %v, want %v after %v", err, time.Since(start), tt.want, tt.after)
				}
				if other := ErrTimeout; tt.want != other && errors.Is(err, other) {
					t.Errorf("%v is also %v", err, other)
				}
				// A late packet is dropped, and the connection still works.
				s.send(wire.WorkComplete, "H:1", "late")
				if _, err := c.StartAsync(t.Context(), &Task{Function: "g"}); err != nil {
					t.Fatal(err)
				}
				s.expect(wire.SubmitJob, "g", "", "")
			})
		})
	}
}

func TestWaitDoesNotEndTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newPipe(t)
		c := testClient(t, Options{Servers: []Server{f.Server}, Dial: f.dial})
		r := startAsync(t, c, &Task{Function: "f"})
		s := f.acceptClient()
		s.expect(wire.SubmitJob, "f", "", "")
		s.send(wire.JobCreated, "H:1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		s.send(wire.WorkComplete, "H:1", "x")
		if got, err := end(t, r); err != nil || string(got.Data) != "x" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c := testClient(t, Options{Dial: silent, ConnectTimeout: time.Second})
		start := time.Now()
		_, err := c.Do(t.Context(), &Task{Function: "f"})
		if !errors.Is(err, ErrNoServer) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestRetriesWaitForAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		c := testClient(t, Options{Dial: refused})
		start := time.Now()
		_, err := c.Do(t.Context(), &Task{Function: "f", Retries: 3})
		// 100 to 200 ms, 200 to 400 ms and 400 to 800 ms.
		if took := time.Since(start); !errors.Is(err, ErrNoServer) || took < 700*time.Millisecond || took > 1400*time.Millisecond {
			t.Errorf("got %v after %v", err, took)
		}
	})
}

// A worker whose server is away dials at the rate of the backoff, not more.
func TestWorkerIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var dials []string
		refused := countDials(func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("refused")
		}, &mu, &dials)
		lost := 0
		w, err := NewWorker(WorkerOptions{
			Options: Options{Dial: refused},
			OnLost:  func(Server, error) { lost++ },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		// 7 steps up to 10 s take 6 to 13 s; then one in 5 to 10 s.
		if n := len(dials); n < 60 || n > 130 {
			t.Errorf("got %d dials in 10 minutes", n)
		}
		if lost != 1 {
			t.Errorf("the loss was told %d times", lost)
		}
	})
}

// The same for a server that takes connections and ends them.
func TestWorkerIsPatientWithFlappingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		flapping := func(context.Context, string, string) (net.Conn, error) {
			dials++
			near, far := net.Pipe()
			far.Close()
			return near, nil
		}
		w, err := NewWorker(WorkerOptions{Options: Options{Dial: flapping}})
		if err != nil {
			t.Fatal(err)
		}
		w.Handle("f", func(context.Context, *Job) ([]byte, error) { return nil, nil })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		w.Run(ctx)
		if dials < 60 || dials > 130 {
			t.Errorf("got %d dials in 10 minutes", dials)
		}
	})
}

func TestFunctionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newPipe(t)
		w, stop := runWorker(t, WorkerOptions{Options: Options{Servers: []Server{f.Server}, Dial: f.dial}}, nil)
		defer stop()
		causes := make(chan error, 1)
		w.Handle("slow", func(ctx context.Context, j *Job) ([]byte, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil, ctx.Err()
		}, WithTimeout(2*time.Second))
		s := f.accept()
		s.nc.SetDeadline(time.Time{})
		s.expect(wire.CanDoTimeout, "slow", "3200")
		s.expect(wire.GrabJobAll)
		start := time.Now()
		s.send(wire.JobAssignAll, "H:1", "slow", "", "", "")
		s.expect(wire.WorkFail, "H:1")
		s.expect(wire.GrabJobAll)
		s.send(wire.NoJob)
		s.expect(wire.PreSleep)
		if cause := <-causes; cause != ErrTimeout || time.Since(start) != 2*time.Second {
			t.Errorf("got %v after %v", cause, time.Since(start))
		}
	})
}

// A server that does not answer must not keep the slot from the others.
func TestSilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, good := newPipe(t), newPipe(t)
		silent.Addr, good.Addr = "silent:1", "good:1"
		dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == silent.Addr {
				return silent.dial(ctx, network, addr)
			}
			return good.dial(ctx, network, addr)
		}
		_, stop := runWorker(t, WorkerOptions{Options: Options{
			Servers: []Server{silent.Server, good.Server}, Dial: dial, MinBackoff: time.Hour, MaxBackoff: time.Hour,
		}}, handlers{"f": echo})
		defer stop()
		s, g := silent.accept(), good.accept()
		s.nc.SetDeadline(time.Time{})
		g.nc.SetDeadline(time.Time{})
		s.expect(wire.CanDo, "f")
		g.expect(wire.CanDo, "f")
		done := make(chan bool)
		go func() {
			defer close(done)
			g.expect(wire.GrabJobAll)
			g.send(wire.JobAssignAll, "H:1", "f", "", "", "x")
			g.expect(wire.WorkComplete, "H:1", "x")
			typ, _ := g.read()
			for typ == wire.GrabJobAll {
				g.send(wire.NoJob)
				typ, _ = g.read()
			}
		}()
		start := time.Now()
		s.expect(wire.GrabJobAll)
		s.expect(wire.EchoReq, probeText)
		s.expectEnd()
		if took := time.Since(start); took > replyTimeout {
			t.Errorf("the slot waited %v", took)
		}
		<-done
	})
}
