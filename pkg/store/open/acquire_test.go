package open

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/store"
)

var errBroken = errors.New("broken")

// locked is a store that counts how often it is closed.
type locked struct {
	store.Memory
	lock   func(ctx context.Context) error
	closed int
	lost   chan struct{}
}

func (s *locked) TryLock(ctx context.Context, _ string) error { return s.lock(ctx) }
func (s *locked) Lost() <-chan struct{}                       { return s.lost }
func (s *locked) Close() error                                { s.closed++; return nil }

// attempts returns a function that returns each error in turn, then nil.
func attempts(errs ...error) func(context.Context) error {
	return func(context.Context) error {
		if len(errs) == 0 {
			return nil
		}
		err := errs[0]
		errs = errs[1:]
		return err
	}
}

// untilEnd is an attempt that lasts until its context ends.
func untilEnd(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAcquire(t *testing.T) {
	held := &store.HeldError{By: "a server"}
	away := &store.AwayError{Err: errBroken}
	none := attempts()
	for _, tc := range []struct {
		name       string
		open, lock func(context.Context) error
		wait       time.Duration
		patient    bool

		err     error
		after   time.Duration
		opened  int
		closed  int
		stoodBy int
		log     []string
	}{
		{name: "free", open: none, lock: none, opened: 1},
		{
			name: "held for a while", open: none, lock: attempts(held, held, held),
			after: 3 * time.Second, opened: 1, stoodBy: 1, log: []string{"standing by", "taking over"},
		},
		{
			name: "held by one and another", open: none, lock: attempts(held, &store.HeldError{By: "another"}),
			after: 2 * time.Second, opened: 1, stoodBy: 1, log: []string{"standing by", "taking over"},
		},
		{
			name: "held, then broken", open: none, lock: attempts(held, errBroken),
			after: 2 * time.Second, opened: 2, closed: 1, stoodBy: 1,
			log: []string{"standing by", "standing by: the store does not answer", "taking over"},
		},
		{name: "away", open: attempts(away), lock: none, err: away, opened: 1},
		{name: "away after it was opened", open: none, lock: attempts(away), err: away, opened: 1, closed: 1},
		{
			name: "away, for a shorter time than it is waited for", open: attempts(away, away), lock: attempts(away), wait: time.Minute,
			after: 3 * time.Second, opened: 4, closed: 1, log: []string{"waiting for the store", "taking over"},
		},
		{
			name: "away, for a longer time than it is waited for", open: attempts(away, away, away, away), lock: none, wait: 2500 * time.Millisecond,
			err: away, after: 3 * time.Second, opened: 4, log: []string{"waiting for the store"},
		},
		{name: "broken", open: attempts(errBroken), lock: none, wait: time.Minute, err: errBroken, opened: 1},
		{name: "broken lock", open: none, lock: attempts(errBroken), wait: time.Minute, err: errBroken, opened: 1, closed: 1},
		{
			name: "broken, patiently", open: attempts(errBroken), lock: attempts(errBroken), patient: true,
			after: 2 * time.Second, opened: 3, closed: 1, log: []string{"standing by: the store does not answer", "taking over"},
		},
		{
			name: "silent", open: none, lock: untilEnd,
			err: context.DeadlineExceeded, after: attemptTimeout, opened: 1, closed: 1,
		},
		{
			name: "silent, for longer than it is waited for", open: none, lock: untilEnd, wait: 3 * time.Second,
			err: context.DeadlineExceeded, after: 3 * time.Second, opened: 1, closed: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &locked{lock: tc.lock}
				a, log, stoodBy := newAcquirer(s, tc.open)
				a.place.Wait, a.patient = tc.wait, tc.patient
				opened, open := 0, a.open
				a.open = func(ctx context.Context) (store.Store, error) {
					opened++
					return open(ctx)
				}
				got, err := a.run(t.Context())
				switch {
				case !errors.Is(err, tc.err):
					t.Errorf("got error %v, want %v", err, tc.err)
				case err == nil && got != s:
					t.Errorf("got %v, want the store", got)
				case err != nil && got != nil:
					t.Errorf("got a store with the error %v", err)
				}
				if d := time.Since(a.begun); d != tc.after {
					t.Errorf("ended after %v, want %v", d, tc.after)
				}
				if opened != tc.opened || s.closed != tc.closed || *stoodBy != tc.stoodBy {
					t.Errorf("opened %d times, closed %d times, stood by %d times; want %d, %d, %d", opened, s.closed, *stoodBy, tc.opened, tc.closed, tc.stoodBy)
				}
				if got, want := log.String(), strings.Join(append(tc.log, ""), "\n"); got != want {
					t.Errorf("got log\n%swant\n%s", got, want)
				}
			})
		})
	}
}

// newAcquirer returns an acquirer of s, its log of messages, and the number of calls
// of StandingBy.
func newAcquirer(s store.Store, open func(context.Context) error) (*acquirer, *bytes.Buffer, *int) {
	log, stoodBy := new(bytes.Buffer), new(int)
	p := &Place{URL: &store.URL{Scheme: "disk", Path: "x"}}
	p.StandingBy = func() error { *stoodBy++; return nil }
	p.Logger = slog.New(messages{log})
	return &acquirer{
		place: p, program: "test", begun: time.Now(),
		open: func(ctx context.Context) (store.Store, error) {
			if err := open(ctx); err != nil {
				return nil, err
			}
			return s, nil
		},
	}, log, stoodBy
}

// messages is a log of the messages alone.
type messages struct{ to *bytes.Buffer }

func (messages) Enabled(context.Context, slog.Level) bool { return true }
func (m messages) WithAttrs([]slog.Attr) slog.Handler     { return m }
func (m messages) WithGroup(string) slog.Handler          { return m }
func (m messages) Handle(_ context.Context, r slog.Record) error {
	m.to.WriteString(r.Message + "\n")
	return nil
}

// TestAcquireEnds checks that the end of the context ends a wait and an attempt, and
// that the store is closed then.
func TestAcquireEnds(t *testing.T) {
	for name, lock := range map[string]func(context.Context) error{
		"while another process holds it": func(context.Context) error { return &store.HeldError{By: "a server"} },
		"in an attempt":                  untilEnd,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &locked{lock: lock}
				a, _, _ := newAcquirer(s, attempts())
				ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
				defer cancel()
				got, err := a.run(ctx)
				if got != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(a.begun) != 5500*time.Millisecond {
					t.Errorf("got %v, %v after %v, want the end of the context after 5.5s", got, err, time.Since(a.begun))
				}
				if s.closed != 1 {
					t.Errorf("closed %d times, want once", s.closed)
				}
			})
		})
	}
}

// TestStandingByOnce checks that StandingBy is called once for a place, not for each
// wait, and that its error ends the wait.
func TestStandingByOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := &store.HeldError{By: "a server"}
		s := &locked{}
		a, _, stoodBy := newAcquirer(s, attempts())
		for range 2 {
			s.lock = attempts(held)
			again := acquirer{place: a.place, open: a.open, begun: time.Now()}
			if _, err := again.run(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if *stoodBy != 1 {
			t.Errorf("called %d times, want once", *stoodBy)
		}
		s.lock = attempts(held)
		a.place.stoodBy = false
		a.place.StandingBy = func() error { return errBroken }
		if got, err := a.run(t.Context()); got != nil || !errors.Is(err, errBroken) || s.closed != 1 {
			t.Errorf("got %v, %v, closed %d times, want %v and closed once", got, err, s.closed, errBroken)
		}
	})
}

func TestStandbyLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l standbyLog
		for _, tc := range []struct {
			after            time.Duration
			message, details string
			want             bool
		}{
			{0, "a", "1", true},
			{time.Hour, "a", "1", false},
			{0, "b", "1", true},
			{repeatInterval - 1, "b", "2", false},
			{1, "b", "2", true},
			{0, "a", "1", true},
		} {
			time.Sleep(tc.after)
			if got := l.isNew(tc.message, tc.details); got != tc.want {
				t.Errorf("%+v: got %v", tc, got)
			}
		}
	})
}

func TestLock(t *testing.T) {
	if err := Lock(t.Context(), store.Memory{}, "test"); err != nil {
		t.Errorf("a store that nobody else can reach: %v", err)
	}
	if Lost(store.Memory{}) != nil {
		t.Error("a store that nobody else can reach can be lost")
	}
	s := &locked{lock: attempts(errBroken), lost: make(chan struct{})}
	if err := Lock(t.Context(), s, "test"); !errors.Is(err, errBroken) {
		t.Errorf("got %v, want %v", err, errBroken)
	}
	if Lost(s) != s.lost {
		t.Error("Lost is not that of the store")
	}
}
