package gearman

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/wire"
)

// drainingServer has a job of a client, and has refused another one since it is
// shutting down.
func drainingServer(t *testing.T, c *Client, f *fake) (s *peer, has, refused *Running) {
	t.Helper()
	has = startAsync(t, c, &Task{Function: "f", Payload: []byte("1")})
	s = f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "1")
	s.send(wire.JobCreated, "H:1")
	within(t, "JOB_CREATED", has.Created())
	refused = startAsync(t, c, &Task{Function: "f", Payload: []byte("2")})
	s.expect(wire.SubmitJob, "f", "", "2")
	s.send(wire.Error, wire.CodeShutdown, "the server is shutting down")
	return s, has, refused
}

// A task that a draining server refuses goes to another server, as the same
// attempt. The jobs that the draining server has still end.
func TestDrainingServerIsAway(t *testing.T) {
	a, b := newFake(t), newFake(t)
	c := testClient(t, Options{Servers: []Server{a.Server, b.Server}, MinBackoff: time.Hour, MaxBackoff: time.Hour})
	draining, has, refused := drainingServer(t, c, a)

	other := b.acceptClient()
	other.expect(wire.SubmitJob, "f", "", "2")
	other.send(wire.JobCreated, "H:2")
	other.send(wire.WorkComplete, "H:2", "two")
	got, err := end(t, refused)
	if err != nil || string(got.Data) != "two" || got.Server != b.Server || got.Attempts != 1 {
		t.Errorf("got %+v, %v, want the result of %v at the first attempt", got, err, b.Server)
	}
	next := startAsync(t, c, &Task{Function: "f", Payload: []byte("3")})
	other.expect(wire.SubmitJob, "f", "", "3")
	other.send(wire.JobCreated, "H:3")
	other.send(wire.WorkComplete, "H:3", "")
	if _, err := end(t, next); err != nil {
		t.Error(err)
	}

	status := make(chan Status)
	go func() {
		s, err := c.Status(context.Background(), "H:1")
		if err != nil {
			t.Error(err)
		}
		status <- s
	}()
	draining.expect(wire.GetStatus, "H:1")
	draining.send(wire.StatusRes, "H:1", "1", "1", "1", "2")
	if s := within(t, "the status", status); !s.Running || s.Server != a.Server {
		t.Errorf("got %+v, want a job that runs on %v", s, a.Server)
	}
	draining.send(wire.WorkComplete, "H:1", "one")
	if got, err := end(t, has); err != nil || string(got.Data) != "one" {
		t.Errorf("got %+v, %v, want the draining server's result", got, err)
	}
	draining.expectEnd() // it has nothing more of this client
}

// Without another server the error says so, and retries reach the next start of
// the same one, at the same address.
func TestDrainingServerAlone(t *testing.T) {
	f := newFake(t)
	c := testClient(t, Options{Servers: []Server{f.Server}, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond})
	_, has, refused := drainingServer(t, c, f)
	var said *ServerError
	_, err := end(t, refused)
	if !errors.Is(err, ErrNoServer) || !errors.As(err, &said) || !said.ShuttingDown() {
		t.Errorf("got %v, want ErrNoServer with the server's refusal", err)
	}

	again, restarted := f.startAfterLoss(c, &Task{Function: "f", Payload: []byte("2"), Retries: 1})
	restarted.expect(wire.SubmitJob, "f", "", "2")
	restarted.send(wire.Error, wire.CodeShutdown, "again")
	restarted.close()
	restarted = f.acceptClient()
	restarted.expect(wire.SubmitJob, "f", "", "2")
	restarted.send(wire.JobCreated, "H:1")
	restarted.send(wire.WorkComplete, "H:1", "two")
	if got, err := end(t, again); err != nil || string(got.Data) != "two" || got.Attempts != 2 {
		t.Errorf("got %+v, %v, want the result of attempt 2", got, err)
	}

	c.Close() // the first connection is still open: it has a job
	if _, err := end(t, has); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// A proxy accepts connections in the place of a server that is away. A task that
// was never answered on such a connection is not lost.
func TestProxyOfAServerThatIsAway(t *testing.T) {
	f := newFake(t)
	c := testClient(t, Options{Servers: []Server{f.Server}, MinBackoff: time.Hour, MaxBackoff: time.Hour})
	first := startAsync(t, c, &Task{Function: "f"})
	s := f.acceptClient()
	s.expect(wire.SubmitJob, "f", "", "")
	s.close()
	if _, err := end(t, first); !errors.Is(err, ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	ended := make(chan error)
	go func() {
		_, err := c.Do(context.Background(), &Task{Function: "f"})
		ended <- err
	}()
	f.accept().close()
	if err := within(t, "the end", ended); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), f.Addr) {
		t.Errorf("got %v, want ErrNoServer", err)
	}
}

// A task goes to a Gearman server if the other address has no Gearman server. Without a Gearman server,
// the error has the first bytes of the other one.
func TestTaskOfNoGearmanServer(t *testing.T) {
	for _, greeting := range []string{"HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n", ""} {
		stranger, good := newFake(t), newFake(t)
		c := clientOf(t, stranger, good)
		ended := make(chan *Result)
		go func() {
			got, err := c.Do(context.Background(), &Task{Function: "f"})
			if err != nil {
				t.Error(err)
			}
			ended <- got
		}()
		hangUp := func(s *peer) {
			s.expect(wire.OptionReq, "exceptions") // a close with something unread would be a reset
			s.expect(wire.SubmitJob, "f", "", "")
			s.raw(greeting)
			s.close()
		}
		hangUp(stranger.accept())
		g := good.acceptClient()
		g.expect(wire.SubmitJob, "f", "", "")
		g.send(wire.JobCreated, "H:1")
		g.send(wire.WorkComplete, "H:1", "x")
		if got := within(t, "the end", ended); got != nil && (got.Server != good.Server || got.Attempts != 1) {
			t.Errorf("%q: got %+v, want the good server's result", greeting, got)
		}

		alone := testClient(t, Options{Servers: []Server{stranger.Server}})
		failed := make(chan error)
		go func() {
			_, err := alone.Do(context.Background(), &Task{Function: "f"})
			failed <- err
		}()
		hangUp(stranger.accept())
		var broken *ProtocolError
		if err := within(t, "the end", failed); !errors.Is(err, ErrNoServer) || !errors.As(err, &broken) || broken.Server != stranger.Server {
			t.Errorf("%q: got %v, want ErrNoServer and a ProtocolError", greeting, err)
		}
	}
}

// A server that never answers is given up after a while.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newPipe(t)
		c := testClient(t, Options{Servers: []Server{f.Server}, Dial: f.dial})
		began := time.Now()
		ended := make(chan error)
		go func() {
			_, err := c.Do(context.Background(), &Task{Function: "f"})
			ended <- err
		}()
		s := f.accept()
		s.nc.SetDeadline(time.Time{})
		s.expect(wire.OptionReq, "exceptions")
		s.expect(wire.SubmitJob, "f", "", "")
		if err := <-ended; !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "no answer within 30s") {
			t.Errorf("got %v, want ErrLost after 30 s", err)
		}
		if took := time.Since(began); took != answerTimeout {
			t.Errorf("it took %v, want %v", took, answerTimeout)
		}
	})
}

// A worker all of whose servers are something else ends; one Gearman server, or
// one that has not answered yet, keeps it at work.
func TestWorkerOfNoGearmanServer(t *testing.T) {
	stranger, good := newFake(t), newFake(t)
	run := func(fakes ...*fake) (*Worker, chan error) {
		o := WorkerOptions{Options: Options{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}}
		for _, f := range fakes {
			o.Servers = append(o.Servers, f.Server)
		}
		w, err := NewWorker(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Handle("f", echo); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- w.Run(context.Background()) }()
		return w, ended
	}
	_, ended := run(stranger)
	s := stranger.accept()
	s.raw("220 mail.example.com ESMTP\r\n")
	var broken *ProtocolError
	if err := within(t, "Run", ended); !errors.Is(err, ErrNoServer) || !errors.As(err, &broken) || broken.Server != stranger.Server {
		t.Errorf("got %v, want ErrNoServer and a ProtocolError", err)
	}

	w, ended := run(stranger, good)
	for range 2 {
		s := stranger.accept()
		s.raw("220 mail.example.com ESMTP\r\n")
		s.expect(wire.CanDo, "f")
	}
	g := good.accept()
	g.expect(wire.CanDo, "f")
	g.expect(wire.GrabJobAll)
	g.send(wire.NoJob)
	w.Stop()
	g.close()
	if err := within(t, "Run", ended); err != nil {
		t.Errorf("got %v, want none: a server may be one", err)
	}
}
