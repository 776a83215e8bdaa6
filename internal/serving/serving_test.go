package serving

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store"
)

// testPatience is the time after which a test fails that waits.
const testPatience = 30 * time.Second

// waitFor returns the next value of a channel.
func waitFor[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(testPatience):
		t.Fatalf("waiting for %s: not within %v", what, testPatience)
	}
	panic("unreachable")
}

// testConfig returns a configuration of a server on a free port, and the channels of its
// signals and of its listeners.
func testConfig(log *slog.Logger) (Config, chan os.Signal, chan []net.Listener) {
	signals, listening := make(chan os.Signal, 2), make(chan []net.Listener, 1)
	return Config{
		Server: server.Config{Logger: log, MaxPayload: 1 << 20},
		Listen: func() ([]net.Listener, error) {
			return server.ListenAll(context.Background(), []string{"127.0.0.1"}, 0)
		},
		Listening: func(ls []net.Listener) error {
			listening <- ls
			return nil
		},
		DrainTimeout: testPatience,
		Signals:      signals,
	}, signals, listening
}

// start runs a runner, and returns the channel of its error.
func start(r *Runner) <-chan error {
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	return done
}

// functionWorker does the jobs of one function in process.
type functionWorker struct {
	options gearman.Options
	handler gearman.Handler
}

func (w *functionWorker) Run(ctx context.Context) error {
	jobs, err := gearman.NewWorker(gearman.WorkerOptions{Options: w.options})
	if err != nil {
		return err
	}
	if err := jobs.Handle("f", w.handler); err != nil {
		return err
	}
	return jobs.Run(ctx)
}

func TestRunEndsAtASignal(t *testing.T) {
	cfg, signals, listening := testConfig(slog.New(slog.DiscardHandler))
	done := start(New(cfg))
	ls := waitFor(t, "the listeners", listening)
	signals <- syscall.SIGTERM
	if err := waitFor(t, "the end", done); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if nc, err := net.Dial("tcp", ls[0].Addr().String()); err == nil {
		nc.Close()
		t.Error("the server still listens")
	}
}

// TestSecondSignalLosesJobs stops a server with a running job. The first signal waits for
// the job; after the second one the error has the number of lost jobs.
func TestSecondSignalLosesJobs(t *testing.T) {
	var log lockedBuffer
	cfg, signals, listening := testConfig(slog.New(slog.NewTextHandler(&log, nil)))
	running, end := make(chan struct{}), make(chan struct{})
	cfg.NewWorker = func(o gearman.Options, address string) (Worker, error) {
		if address == "" {
			t.Error("the worker has no address for other programs")
		}
		return &functionWorker{o, func(ctx context.Context, _ *gearman.Job) ([]byte, error) {
			close(running)
			<-end
			return nil, nil
		}}, nil
	}
	done := start(New(cfg))
	ls := waitFor(t, "the listeners", listening)
	client, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: ls[0].Addr().String()}}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	if _, err := client.Background(ctx, &gearman.Task{Function: "f"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the job", running)
	signals <- syscall.SIGTERM
	signals <- syscall.SIGTERM
	waitForLog(t, &log, "stopping at once")
	close(end)
	lost := new(LostJobsError)
	if err := waitFor(t, "the end", done); !errors.As(err, &lost) || lost.Jobs != 1 || err.Error() != "stop at once: 1 job is lost" {
		t.Errorf("got %v, want one lost job", err)
	}
}

// TestDrainTimeout stops a server whose job does not end in time.
func TestDrainTimeout(t *testing.T) {
	var log lockedBuffer
	cfg, signals, listening := testConfig(slog.New(slog.NewTextHandler(&log, nil)))
	cfg.DrainTimeout = time.Millisecond
	running, end := make(chan struct{}), make(chan struct{})
	cfg.NewWorker = func(o gearman.Options, _ string) (Worker, error) {
		return &functionWorker{o, func(ctx context.Context, _ *gearman.Job) ([]byte, error) {
			close(running)
			<-end
			return nil, nil
		}}, nil
	}
	done := start(New(cfg))
	ls := waitFor(t, "the listeners", listening)
	client, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: ls[0].Addr().String()}}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	if _, err := client.Background(ctx, &gearman.Task{Function: "f"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the job", running)
	signals <- syscall.SIGTERM
	waitForLog(t, &log, "stopped; the jobs that waited in memory are lost") // the job ends after the server
	close(end)
	if err := waitFor(t, "the end", done); !errors.As(err, new(*DrainError)) {
		t.Errorf("got %v, want a DrainError", err)
	}
}

// TestListenErrorEndsRun checks that errors of the functions in Config are returned
// unchanged, and that the store is closed.
func TestListenErrorEndsRun(t *testing.T) {
	cfg, _, _ := testConfig(slog.New(slog.DiscardHandler))
	want := errors.New("no address")
	cfg.Listen = func() ([]net.Listener, error) { return nil, want }
	s := newLostStore()
	cfg.Acquire = func(context.Context, bool) (store.Store, error) { return s, nil }
	if err := New(cfg).Run(); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if !s.closed {
		t.Error("the store is open")
	}
	cfg.Acquire = func(context.Context, bool) (store.Store, error) { return nil, want }
	if err := New(cfg).Run(); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

// lostStore is a store that passes to another process when lost is closed.
type lostStore struct {
	store.Memory
	lost   chan struct{}
	closed bool
}

func newLostStore() *lostStore { return &lostStore{lost: make(chan struct{})} }

func (s *lostStore) TryLock(context.Context, string) error { return nil }
func (s *lostStore) Lost() <-chan struct{}                 { return s.lost }

func (s *lostStore) Close() error {
	s.closed = true
	return nil
}

// TestStoreThatPassesToAnotherProcess runs two servers: the first ends when it loses the
// store, and the second, patient, waits for it.
func TestStoreThatPassesToAnotherProcess(t *testing.T) {
	cfg, signals, listening := testConfig(slog.New(slog.DiscardHandler))
	stores := []*lostStore{newLostStore(), newLostStore()}
	acquired := make(chan bool, 2)
	n := 0
	cfg.Acquire = func(_ context.Context, patient bool) (store.Store, error) {
		acquired <- patient
		n++
		return stores[n-1], nil
	}
	listens := make(chan struct{}, 2)
	listen := cfg.Listen
	cfg.Listen = func() ([]net.Listener, error) {
		listens <- struct{}{}
		return listen()
	}
	done := start(New(cfg))
	if waitFor(t, "the first store", acquired) {
		t.Error("the first attempt is patient")
	}
	waitFor(t, "the first listeners", listens)
	waitFor(t, "the report", listening)
	close(stores[0].lost)
	if !waitFor(t, "the second store", acquired) {
		t.Error("the second attempt is not patient")
	}
	if !stores[0].closed {
		t.Error("the lost store is open")
	}
	waitFor(t, "the second listeners", listens)
	signals <- syscall.SIGTERM
	if err := waitFor(t, "the end", done); err != nil || len(listening) > 0 {
		t.Errorf("got %v and %d more reports, want neither", err, len(listening))
	}
}

// TestSignalEndsTheWaitForTheStore stops a runner that waits for its store.
func TestSignalEndsTheWaitForTheStore(t *testing.T) {
	cfg, signals, _ := testConfig(slog.New(slog.DiscardHandler))
	waiting := make(chan struct{})
	cfg.Acquire = func(ctx context.Context, _ bool) (store.Store, error) {
		close(waiting)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	done := start(New(cfg))
	waitFor(t, "the wait", waiting)
	signals <- syscall.SIGTERM
	if err := waitFor(t, "the end", done); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

// TestPoliciesReplacedDuringTheStart replaces the policies while no server runs, while one
// starts, and while it runs.
func TestPoliciesReplacedDuringTheStart(t *testing.T) {
	cfg, signals, listening := testConfig(slog.New(slog.DiscardHandler))
	cfg.Server.Policies = map[string]server.Policy{"f": {Retries: 1}}
	r := New(cfg)
	r.ReplacePolicies(map[string]server.Policy{"f": {Retries: 2}})
	r.cfg.Listening = func(ls []net.Listener) error {
		r.ReplacePolicies(map[string]server.Policy{"f": {Retries: 3}})
		listening <- ls
		return nil
	}
	done := start(r)
	waitFor(t, "the listeners", listening)
	late := time.After(testPatience)
	for srv := r.server(); srv == nil; srv = r.server() {
		select {
		case <-time.After(time.Millisecond):
		case <-late:
			t.Fatal("no server runs")
		}
	}
	for _, want := range []int{3, 4} {
		if want == 4 {
			r.ReplacePolicies(map[string]server.Policy{"f": {Retries: 4}})
		}
		if p, err := r.server().Policy("f"); err != nil || p == nil || p.Retries != want {
			t.Errorf("got %v, %v, want %d retries", p, err, want)
		}
	}
	signals <- syscall.SIGTERM
	waitFor(t, "the end", done) //nolint:errcheck // another test checks it
}

func (r *Runner) server() *server.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.srv
}

// addrListener is a listener that has only an address.
type addrListener struct {
	net.Listener
	addr net.Addr
}

func (l addrListener) Addr() net.Addr { return l.addr }

func TestReachableAddress(t *testing.T) {
	for _, tc := range []struct {
		addrs []net.Addr
		want  string
	}{
		{nil, ""},
		{[]net.Addr{&net.TCPAddr{IP: net.IPv6unspecified, Port: 1}}, "localhost:1"},
		{[]net.Addr{&net.TCPAddr{IP: net.IPv4zero, Port: 1}}, "localhost:1"},
		{[]net.Addr{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2}}, "127.0.0.1:2"},
		{[]net.Addr{&net.UnixAddr{Name: "/s"}, &net.TCPAddr{Port: 1}}, "unix:/s"},
	} {
		var ls []net.Listener
		for _, a := range tc.addrs {
			ls = append(ls, addrListener{addr: a})
		}
		if got := reachableAddress(ls); got != tc.want {
			t.Errorf("%v: got %q, want %q", tc.addrs, got, tc.want)
		}
	}
}

// waitForLog waits until a log has the text.
func waitForLog(t *testing.T, log *lockedBuffer, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(testPatience); !bytes.Contains(log.bytes(), []byte(text)); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the log has no %s within %v:\n%s", text, testPatience, log.bytes())
		}
	}
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buf.Bytes())
}
