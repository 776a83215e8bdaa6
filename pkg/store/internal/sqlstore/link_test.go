package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/store"
)

// server is a database as far as sessions see it.
type server struct {
	mu     sync.Mutex
	holder *fake // the holder of the lock
	note   string
	down   bool
	undone []uint64
	dials  int
}

// fake is a session.
type fake struct {
	server *server
	dead   bool
}

var errDown = errors.New("server is down")

func (s *server) dial(context.Context) (*fake, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	if s.down {
		return nil, errDown
	}
	return &fake{server: s}, nil
}

// disconnect ends the holder's session.
func (s *server) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holder.dead, s.holder = true, nil
}

// locked reports whether any session has the lock, and the number of dials.
func (s *server) locked() (locked bool, dials int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holder != nil, s.dials
}

func (f *fake) do(what func(s *server)) error {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	if f.server.down {
		f.dead = true
	}
	if f.dead {
		return errDown
	}
	what(f.server)
	return nil
}

func (f *fake) Lock(context.Context, bool) (got bool, err error) {
	err = f.do(func(s *server) {
		if s.holder == nil {
			s.holder = f
		}
		got = s.holder == f
	})
	return got, err
}

func (f *fake) Note(_ context.Context, holder string) error {
	return f.do(func(s *server) { s.note = holder })
}

func (f *fake) Holder(context.Context) (holder string, err error) {
	err = f.do(func(s *server) { holder = s.note })
	return holder, err
}

func (f *fake) Undo(_ context.Context, seqs []uint64) error {
	return f.do(func(s *server) { s.undone = append(s.undone, seqs...) })
}

func (f *fake) Ping(context.Context) error { return f.do(func(*server) {}) }

func (f *fake) Alive() bool {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	return !f.dead
}

func (f *fake) Close() {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	f.dead = true
	if f.server.holder == f {
		f.server.holder = nil
	}
}

func newLink(t *testing.T, s *server) *Link[*fake] {
	l := NewLink(s.dial, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func noSeqs() []uint64 { return nil }

func nothing(*fake) error { return nil }

func TestLinkUndoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		l := newLink(t, s)
		lost := &store.UncertainError{Err: errors.New("lost")}
		for i := range 2 {
			err := l.Do(t.Context(), func() []uint64 { return []uint64{uint64(2 * i), uint64(2*i + 1)} }, func(*fake) error {
				return fmt.Errorf("commit: %w", lost)
			})
			if !errors.Is(err, lost) {
				t.Errorf("got %v, want %v", err, lost)
			}
			s.down = true
			if err := l.Do(t.Context(), noSeqs, nothing); !errors.Is(err, errDown) {
				t.Errorf("while the server is down: got %v, want %v", err, errDown)
			}
			s.down = false
			if err := l.UndoUncertain(t.Context()); err != nil {
				t.Errorf("undo: %v", err)
			}
		}
		if want := []uint64{0, 1, 2, 3}; !slices.Equal(s.undone, want) {
			t.Errorf("undone: got %v, want %v", s.undone, want)
		}
	})
}

func TestLinkLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		first, second := newLink(t, s), newLink(t, s)
		if err := first.TryLock(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		if err := first.TryLock(t.Context(), "first"); err != nil {
			t.Errorf("again: %v", err)
		}
		var held *store.HeldError
		if err := second.TryLock(t.Context(), "second"); !errors.As(err, &held) || held.By != s.note {
			t.Errorf("second: got %v, want held by %q", err, s.note)
		}

		// The link reconnects on its own after the connection is lost.
		s.disconnect()
		_, before := s.locked()
		time.Sleep(3 * watchInterval)
		if locked, dials := s.locked(); dials != before+1 || !locked {
			t.Errorf("after the loss: dialled %d times, want 1; locked %t", dials-before, locked)
		}
		select {
		case <-first.Lost():
			t.Error("lost is closed")
		default:
		}

		// This time the other is faster.
		s.disconnect()
		if err := second.TryLock(t.Context(), "second"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*watchInterval + lockPatience)
		select {
		case <-first.Lost():
		default:
			t.Error("lost is not closed")
		}
		if err := first.Do(t.Context(), noSeqs, nothing); !errors.Is(err, ErrLost) {
			t.Errorf("without the lock: got %v, want %v", err, ErrLost)
		}
		if err := second.Do(t.Context(), noSeqs, nothing); err != nil {
			t.Errorf("with the lock: %v", err)
		}
	})
}

// TestLinkLocksAfterIdleSessionEnded checks that the end of an idle session does
// not keep a store that stands by from its next try.
func TestLinkLocksAfterIdleSessionEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(server)
		first, second := newLink(t, s), newLink(t, s)
		if err := first.TryLock(t.Context(), "first"); err != nil {
			t.Fatal(err)
		}
		endIdle := func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			second.session.dead = true
		}
		var held *store.HeldError
		for range 2 {
			if err := second.TryLock(t.Context(), "second"); !errors.As(err, &held) {
				t.Fatalf("while the first has the lock: got %v, want a *HeldError", err)
			}
			endIdle()
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := second.TryLock(t.Context(), "second"); err != nil {
			t.Errorf("after the first has freed the lock: got %v, want nil", err)
		}
		if _, dials := s.locked(); dials != 4 {
			t.Errorf("got %d sessions, want 4: the first's, and three of the second", dials)
		}

		// A server that is away is an error, not a second dial after the first.
		third := newLink(t, s)
		if err := third.TryLock(t.Context(), "third"); !errors.As(err, &held) {
			t.Fatalf("while the second has the lock: got %v, want a *HeldError", err)
		}
		s.mu.Lock()
		s.down = true
		s.mu.Unlock()
		for range 2 {
			if err := third.TryLock(t.Context(), "third"); !errors.Is(err, errDown) {
				t.Errorf("while the server is down: got %v, want %v", err, errDown)
			}
		}
		s.mu.Lock()
		s.down = false
		s.mu.Unlock()
	})
}

func TestLinkWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLink(t, new(server))
		release := make(chan struct{})
		done := make(chan error, 1)
		go func() { done <- l.Do(context.Background(), noSeqs, func(*fake) error { <-release; return nil }) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Do(ctx, noSeqs, nothing); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while another uses the session: got %v, want %v", err, context.DeadlineExceeded)
		}
		close(release)
		if err := <-done; err != nil {
			t.Errorf("the other: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := l.Do(t.Context(), noSeqs, nothing); !errors.Is(err, errClosed) {
			t.Errorf("after close: got %v, want %v", err, errClosed)
		}
	})
}
