package serving

import (
	"context"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store"
)

// submittingRelay submits jobs until its context is done, and one more after that.
type submittingRelay struct {
	client    *gearman.Client
	running   chan struct{} // closed after the first job
	submitted atomic.Int64
	late      error // of the job after the end of the context
}

func (r *submittingRelay) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if _, err := r.client.Background(ctx, &gearman.Task{Function: "f"}); err == nil && r.submitted.Add(1) == 1 {
			close(r.running)
		}
	}
	_, r.late = r.client.Background(context.Background(), &gearman.Task{Function: "f"})
	return r.client.Close()
}

// TestRelayEndsBeforeTheServerDrains stops a server whose relay has a last job. The
// server accepts it, and stores it.
func TestRelayEndsBeforeTheServerDrains(t *testing.T) {
	cfg, signals, listening := testConfig(slog.New(slog.DiscardHandler))
	s := &countingStore{}
	cfg.Acquire = func(context.Context, bool) (store.Store, error) { return s, nil }
	r := &submittingRelay{running: make(chan struct{})}
	cfg.NewRelay = func(o gearman.Options) (Relay, error) {
		var err error
		r.client, err = gearman.NewClient(o)
		return r, err
	}
	done := start(New(cfg))
	waitFor(t, "the listeners", listening)
	waitFor(t, "the first job", r.running)
	signals <- syscall.SIGTERM
	if err := waitFor(t, "the end", done); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if r.late != nil {
		t.Errorf("the last job: %v", r.late)
	}
	if got, want := s.added.Load(), r.submitted.Load()+1; got < want {
		t.Errorf("the store has %d jobs, want at least %d", got, want)
	}
}

// TestRelayWaitsForTheStore has a store that is read for a while. The relay starts after
// that.
func TestRelayWaitsForTheStore(t *testing.T) {
	cfg, signals, listening := testConfig(slog.New(slog.DiscardHandler))
	s := &countingStore{read: make(chan struct{})}
	cfg.Acquire = func(context.Context, bool) (store.Store, error) { return s, nil }
	r := &submittingRelay{running: make(chan struct{})}
	cfg.NewRelay = func(o gearman.Options) (Relay, error) {
		var err error
		r.client, err = gearman.NewClient(o)
		return r, err
	}
	done := start(New(cfg))
	waitFor(t, "the listeners", listening)
	select {
	case <-r.running:
		t.Error("the relay runs before the store was read")
	case <-time.After(20 * time.Millisecond):
	}
	close(s.read)
	waitFor(t, "the first job", r.running)
	signals <- syscall.SIGTERM
	waitFor(t, "the end", done) //nolint:errcheck // another test checks it
}

// stuckRelay ends when release is closed.
type stuckRelay struct{ running, release chan struct{} }

func (r *stuckRelay) Run(context.Context) error {
	close(r.running)
	<-r.release
	return nil
}

// TestStuckRelayDoesNotHoldUpTheEnd has a relay whose database does not answer.
func TestStuckRelayDoesNotHoldUpTheEnd(t *testing.T) {
	srv, err := server.New(server.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	r := &stuckRelay{make(chan struct{}), make(chan struct{})}
	defer close(r.release)
	stop, err := startRelay(func(gearman.Options) (Relay, error) { return r, nil }, srv, 1<<20, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the relay", r.running)
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	waitFor(t, "the end of the wait", stopped)
}

// countingStore counts the jobs that it gets. Its jobs are read when read is closed, or
// at once without it.
type countingStore struct {
	store.Memory
	read  chan struct{}
	added atomic.Int64
}

func (s *countingStore) Commit(_ context.Context, ops []store.Op) error {
	for _, op := range ops {
		if op.Kind == store.Add {
			s.added.Add(1)
		}
	}
	return nil
}

func (s *countingStore) Replay(ctx context.Context, _ func(*store.Record) error) error {
	if s.read == nil {
		return nil
	}
	select {
	case <-s.read:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
