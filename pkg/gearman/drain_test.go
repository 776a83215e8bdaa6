package gearman

import (
	"context"
	"errors"
	"strings"
	"testing"
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
