package gearman

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"gm/pkg/wire"
)

type handlers map[string]Handler

func echo(_ context.Context, j *Job) ([]byte, error) { return j.Payload(), nil }

// runWorker runs a worker. stop ends it and waits.
func runWorker(t testing.TB, o WorkerOptions, hs handlers) (w *Worker, stop func()) {
	t.Helper()
	w, err := NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range hs {
		if err := w.Handle(name, h); err != nil {
			t.Fatal(err)
		}
	}
	ran := make(chan error, 1)
	go func() { ran <- w.Run(context.Background()) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			w.Stop()
			if err := <-ran; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return w, stop
}

func workerOf(fakes ...*fake) WorkerOptions {
	var o WorkerOptions
	for _, f := range fakes {
		o.Servers = append(o.Servers, f.Server)
	}
	return o
}

func TestWorkerSession(t *testing.T) {
	f := newFake(t)
	o := workerOf(f)
	o.ID = "me"
	var writes writeLog
	o.Dial = writes.dial(t)
	_, stop := runWorker(t, o, handlers{"f": func(_ context.Context, j *Job) ([]byte, error) {
		got := fmt.Sprint(j.Handle(), j.Function(), j.Unique(), j.Reducer(), string(j.Payload()), j.Server())
		if want := fmt.Sprint("H:1", "f", "u", "r", "in", f.Server); got != want {
			t.Errorf("got job %s, want %s", got, want)
		}
		return []byte("out"), errors.Join(j.SendData([]byte("chunk")), j.SendStatus(1, 2), j.SendWarning([]byte("warn")))
	}})
	s := f.accept()
	s.expect(wire.SetClientID, "me")
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	s.send(wire.Noop)
	s.expect(wire.GrabJobAll)
	s.send(wire.Noop) // too many
	s.send(wire.JobAssignAll, "H:1", "f", "u", "r", "in")
	s.expect(wire.WorkData, "H:1", "chunk")
	s.expect(wire.WorkStatus, "H:1", "1", "2")
	s.expect(wire.WorkWarning, "H:1", "warn")
	s.expect(wire.WorkComplete, "H:1", "out")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	together := string(wire.AppendString(nil, wire.Request, wire.WorkComplete, "H:1", "out")) +
		string(wire.Append(nil, wire.Request, wire.GrabJobAll))
	if !writes.has(together) {
		t.Error("WORK_COMPLETE and GRAB_JOB_ALL did not go out in one write")
	}
	go stop()
	s.expectEnd()
}

// writeLog notes each write of a connection.
type writeLog struct {
	mu     sync.Mutex
	writes []string
}

type loggedConn struct {
	net.Conn
	log *writeLog
}

func (c loggedConn) Write(p []byte) (int, error) {
	c.log.mu.Lock()
	c.log.writes = append(c.log.writes, string(p))
	c.log.mu.Unlock()
	return c.Conn.Write(p)
}

func (l *writeLog) dial(t testing.TB) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return loggedConn{nc, l}, nil
	}
}

func (l *writeLog) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.writes {
		if w == s {
			return true
		}
	}
	return false
}

func TestStopFinishesTheJob(t *testing.T) {
	f := newFake(t)
	w, err := NewWorker(workerOf(f))
	if err != nil {
		t.Fatal(err)
	}
	started, release := make(chan struct{}), make(chan struct{})
	w.Handle("f", func(ctx context.Context, j *Job) ([]byte, error) {
		close(started)
		<-release
		return []byte("done"), ctx.Err()
	})
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- w.Run(ctx) }()
	s := f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignAll, "H:1", "f", "", "", "")
	within(t, "the job's start", started)
	cancel()
	w.Stop()
	s.send(wire.Noop) // unread bytes must not cost the result
	close(release)
	s.expect(wire.WorkComplete, "H:1", "done")
	s.expectEnd()
	s.close()
	if err := within(t, "Run", ran); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if err := w.Run(context.Background()); err == nil {
		t.Error("a worker has run twice")
	}
}

func TestAbortEndsTheJobsContext(t *testing.T) {
	f := newFake(t)
	started := make(chan struct{})
	w, _ := runWorker(t, workerOf(f), handlers{"f": func(ctx context.Context, _ *Job) ([]byte, error) {
		close(started)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}})
	s := f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignAll, "H:1", "f", "", "", "")
	within(t, "the job's start", started)
	w.Abort()
	s.expect(wire.WorkFail, "H:1")
	s.expectEnd()
	s.close()
}

func TestReconnectRegistersAgain(t *testing.T) {
	f := newFake(t)
	o := workerOf(f)
	o.ID = "me"
	told := make(chan string, 10)
	o.OnLost = func(s Server, err error) { told <- "lost " + s.Addr }
	o.OnBack = func(s Server) { told <- "back " + s.Addr }
	w, stop := runWorker(t, o, handlers{"f": echo})
	s := f.accept()
	s.expect(wire.SetClientID, "me")
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	w.Handle("g", echo, WithServerTimeout(1500_000_000))
	s.expect(wire.CanDoTimeout, "g", "1500")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	w.Remove("f")
	s.expect(wire.CantDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignAll, "H:1", "f", "", "", "was on its way")
	s.expect(wire.WorkComplete, "H:1", "was on its way")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	s.close()
	s = f.accept()
	s.expect(wire.SetClientID, "me")
	s.expect(wire.CanDoTimeout, "g", "1500")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	for _, want := range []string{"lost ", "back "} {
		if got := within(t, want, told); got != want+f.Addr {
			t.Errorf("got %s, want %s%s", got, want, f.Addr)
		}
	}
	go stop()
	s.expectEnd()
}

func TestLostJobIsTold(t *testing.T) {
	f := newFake(t)
	started := make(chan struct{})
	ended := make(chan [2]error, 1)
	runWorker(t, workerOf(f), handlers{"f": func(ctx context.Context, j *Job) ([]byte, error) {
		close(started)
		<-ctx.Done()
		ended <- [2]error{context.Cause(ctx), j.SendStatus(1, 1)}
		return []byte("nobody wants it"), nil
	}})
	s := f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignAll, "H:1", "f", "", "", "")
	within(t, "the job's start", started)
	s.close()
	for _, err := range within(t, "the job's end", ended) {
		if !errors.Is(err, ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
	}
	f.accept().expect(wire.CanDo, "f")
}

func TestServersAreServedInTurn(t *testing.T) {
	f, g := newFake(t), newFake(t)
	runWorker(t, workerOf(f, g), handlers{"f": echo})
	a, b := f.accept(), g.accept()
	a.expect(wire.CanDo, "f")
	b.expect(wire.CanDo, "f")
	// Both always have jobs. One may be linked first; then they alternate.
	var mu sync.Mutex
	var turns strings.Builder
	serve := func(s *peer, name string) {
		var p wire.Packet
		for s.in.Next(&p) == nil {
			if p.Type != wire.GrabJobAll {
				continue
			}
			mu.Lock()
			turns.WriteString(name)
			enough := turns.Len() > 1000 || strings.HasSuffix(turns.String(), strings.Repeat("ab", 20))
			mu.Unlock()
			if enough {
				a.close()
				b.close()
				return
			}
			s.nc.Write(wire.AppendString(nil, wire.Response, wire.JobAssign, "H:1", "f", ""))
		}
	}
	var serving sync.WaitGroup
	serving.Go(func() { serve(a, "a") })
	serving.Go(func() { serve(b, "b") })
	serving.Wait()
	got := turns.String()
	alternating := strings.TrimLeft(got, got[:1])
	if strings.Contains(alternating, "aa") || strings.Contains(alternating, "bb") || len(alternating) < 30 {
		t.Errorf("got turns %s", got)
	}
}

func TestIdle(t *testing.T) {
	f := newFake(t)
	o := workerOf(f)
	connected := make(chan struct{})
	idle := make(chan error, 10)
	o.Idle = func(ctx context.Context) {
		select {
		case <-connected: // before, it idles without a server
			idle <- ctx.Err()
		default:
		}
		<-ctx.Done()
	}
	_, stop := runWorker(t, o, handlers{"f": echo})
	s := f.accept()
	s.expect(wire.CanDo, "f")
	s.expect(wire.GrabJobAll)
	close(connected)
	for range 2 {
		s.send(wire.NoJob)
		s.expect(wire.PreSleep)
		if err := within(t, "Idle", idle); err != nil {
			t.Errorf("Idle began with %v", err)
		}
		s.send(wire.Noop)
		s.expect(wire.GrabJobAll)
		s.send(wire.JobAssignAll, "H:1", "f", "", "", "x")
		s.expect(wire.WorkComplete, "H:1", "x")
		s.expect(wire.GrabJobAll)
	}
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	within(t, "Idle", idle)
	s.nc.(*net.TCPConn).CloseWrite()
	stop() // ends Idle
}

func TestFallBackToOlderGrabs(t *testing.T) {
	t.Run("upon ERROR", func(t *testing.T) {
		f := newFake(t)
		runWorker(t, workerOf(f), handlers{"f": echo})
		s := f.accept()
		s.expect(wire.CanDo, "f")
		s.expect(wire.GrabJobAll)
		s.send(wire.Error, "INVALID_COMMAND", "Command not expected")
		s.expect(wire.GrabJobUniq)
		s.send(wire.Error, "INVALID_COMMAND", "Command not expected")
		s.expect(wire.GrabJob)
		s.send(wire.JobAssign, "H:1", "f", "x")
		s.expect(wire.WorkComplete, "H:1", "x")
		s.expect(wire.GrabJob)
		s.send(wire.NoJob)
		s.expect(wire.PreSleep)
		s.close()
		s = f.accept() // perhaps a newer server now
		s.expect(wire.CanDo, "f")
		s.expect(wire.GrabJobAll)
		s.close()
	})
	t.Run("upon close", func(t *testing.T) {
		f := newFake(t)
		runWorker(t, workerOf(f), handlers{"f": echo})
		s := f.accept()
		s.expect(wire.CanDo, "f")
		s.expect(wire.GrabJobAll)
		s.close()
		s = f.accept()
		s.expect(wire.CanDo, "f")
		s.expect(wire.GrabJobUniq)
		s.send(wire.NoJob)
		s.expect(wire.PreSleep)
		s.close()
	})
	t.Run("not once it was known", func(t *testing.T) {
		f := newFake(t)
		runWorker(t, workerOf(f), handlers{"f": echo})
		for range 2 {
			s := f.accept()
			s.expect(wire.CanDo, "f")
			s.expect(wire.GrabJobAll)
			s.send(wire.NoJob)
			s.expect(wire.PreSleep)
			s.send(wire.Noop)
			s.expect(wire.GrabJobAll)
			s.close()
			s = f.accept()
			s.expect(wire.CanDo, "f")
			s.expect(wire.GrabJobAll)
			s.close()
		}
	})
}

func TestMaxJobs(t *testing.T) {
	f := newFake(t)
	o := workerOf(f)
	o.Concurrency, o.MaxJobs = 2, 3
	w, err := NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Handle("f", echo)
	ran := make(chan error, 1)
	go func() { ran <- w.Run(context.Background()) }()
	jobs := make(chan int, 100)
	var serving sync.WaitGroup
	// Both are there before one of them has done all jobs alone.
	for _, s := range []*peer{f.accept(), f.accept()} {
		serving.Go(func() {
			var p wire.Packet
			for s.in.Next(&p) == nil {
				if p.Type == wire.GrabJobAll {
					jobs <- 1
					s.nc.Write(wire.AppendString(nil, wire.Response, wire.JobAssign, "H:1", "f", ""))
				}
			}
			s.close()
		})
	}
	if err := within(t, "Run", ran); err != nil {
		t.Error(err)
	}
	serving.Wait()
	if len(jobs) != 3 {
		t.Errorf("got %d jobs, want 3", len(jobs))
	}
}

func TestWorkerLeavesBrokenServers(t *testing.T) {
	tests := []struct{ name, send string }{
		{"another protocol", "220 mail.example.com ESMTP\r\n"},
		{"size of 4 GB", "\x00RES\x00\x00\x00\x28\xff\xff\xff\xffH:1\x00"},
		{"for clients", string(wire.AppendString(nil, wire.Response, wire.JobCreated, "H:1"))},
		{"two answers", strings.Repeat(string(wire.Append(nil, wire.Response, wire.NoJob)), 9)},
		{"unknown function", string(wire.AppendString(nil, wire.Response, wire.JobAssign, "H:1", "g", ""))},
		{"no handle", string(wire.AppendString(nil, wire.Response, wire.JobAssign, "", "f", ""))},
		{"long handle", string(wire.AppendString(nil, wire.Response, wire.JobAssign, strings.Repeat("h", 999), "f", ""))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			o := workerOf(f)
			told := make(chan error, 1)
			o.OnLost = func(_ Server, err error) { told <- err }
			runWorker(t, o, handlers{"f": echo})
			s := f.accept()
			s.expect(wire.CanDo, "f")
			s.expect(wire.GrabJobAll)
			s.send(wire.EchoRes, "") // it is a Gearman server
			io.WriteString(s.nc, tt.send)
			var broken *ProtocolError
			if err := within(t, "OnLost", told); !errors.As(err, &broken) || broken.Server != f.Server {
				t.Errorf("got %v, want a ProtocolError", err)
			}
			s.close()
			f.accept().expect(wire.CanDo, "f") // it tries again
		})
	}
}

// Empty is called when every slot knows from every server that there is no job,
// and its context is done when one may have come or a server is lost.
func TestEmptyIsCalledWhenNoServerHasAJob(t *testing.T) {
	one, two := newFake(t), newFake(t)
	o := workerOf(one, two)
	calls := make(chan context.Context, 10)
	o.Empty = func(ctx context.Context) { calls <- ctx }
	runWorker(t, o, handlers{"f": echo})
	// Which server is asked first is open, so each is answered by a goroutine: the
	// first GRAB_JOB to one gets a job, all others NO_JOB, to two only once held has
	// been read.
	held := make(chan struct{})
	answer := func(s *peer, jobs int, held chan struct{}) {
		var p wire.Packet
		for s.in.Next(&p) == nil {
			if p.Type != wire.GrabJobAll {
				continue
			}
			if jobs--; jobs >= 0 {
				s.send(wire.JobAssignUniq, "H:1", "f", "", "in")
				continue
			}
			if held != nil {
				held <- struct{}{}
				held = nil
			}
			s.send(wire.NoJob)
		}
	}
	a, b := one.accept(), two.accept()
	go answer(a, 1, nil)
	go answer(b, 0, held)
	if len(calls) > 0 {
		t.Fatal("called before the second server has answered")
	}
	within(t, "the second server's GRAB_JOB", held)
	ctx := within(t, "the call", calls)
	a.send(wire.Noop)
	within(t, "the end of its context", ctx.Done())
	ctx = within(t, "the second call", calls)
	b.close()
	within(t, "the end of its context", ctx.Done())
	b = two.accept()
	if len(calls) > 0 {
		t.Fatal("called before the server that is back has answered")
	}
	go answer(b, 0, nil)
	within(t, "the third call", calls)
	a.close()
	b.close()
}

// A cancelable worker offers that once to a server that can know it, and ends the
// context of the job that the server names, and of no other.
func TestCancelledJobEndsItsContext(t *testing.T) {
	f := newFake(t)
	o := workerOf(f)
	o.Cancelable = true
	started := make(chan struct{}, 1)
	runWorker(t, o, handlers{"f": func(ctx context.Context, _ *Job) ([]byte, error) {
		started <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}, "g": echo})
	s := f.accept()
	s.read()
	s.read()
	s.expect(wire.GrabJobAll)
	s.send(wire.JobAssignUniq, "H:1", "f", "", "")
	s.expect(wire.OptionReq, wire.OptionCancel)
	s.send(wire.Error, wire.CodeUnknownOption, "no harm")
	within(t, "the job", started)
	s.send(wire.WorkFail, "H:2")
	s.send(wire.WorkFail, "H:1")
	s.expect(wire.WorkFail, "H:1")
	s.expect(wire.GrabJobAll)
	s.send(wire.WorkFail, "H:1") // late
	s.send(wire.JobAssignUniq, "H:3", "g", "", "in")
	s.expect(wire.WorkComplete, "H:3", "in")
	s.expect(wire.GrabJobAll)
	s.send(wire.NoJob)
	s.expect(wire.PreSleep)
	s.close()
}
