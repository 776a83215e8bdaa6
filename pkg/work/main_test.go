package work

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the maximum time that a test waits for an event.
const patience = time.Minute

// startServer starts a job server on a free port and returns options for it.
func startServer(t *testing.T) gearman.Options {
	t.Helper()
	addr, _ := startServerAt(t, "127.0.0.1:0")
	return gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: addr}}}
}

// startServerAt starts a job server at an address, and returns the address with its
// port. The server is stopped at the end of the test, if it was not before.
func startServerAt(t *testing.T, addr string) (listening string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(l) })
	stop = sync.OnceFunc(func() {
		srv.Close()
		serving.Wait()
	})
	t.Cleanup(stop)
	return l.Addr().String(), stop
}

// startWorker runs the worker that c describes until the end of the test. ended
// gets the error of its Run.
func startWorker(t *testing.T, c Config) (w *Worker, ended <-chan error) {
	t.Helper()
	w, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { errs <- w.Run(context.Background()) })
	t.Cleanup(func() {
		w.Kill()
		running.Wait()
	})
	return w, errs
}

// wait returns the next value of c.
func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing happened for a minute")
		panic("unreachable")
	}
}

// newClient returns a client that is closed at the end of the test.
func newClient(t *testing.T, o gearman.Options) *gearman.Client {
	t.Helper()
	client, err := gearman.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}
