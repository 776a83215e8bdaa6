package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"gm/pkg/store"
)

// RunReading is the suite for reading across a network that fails: an error is
// reported, the next call works, and every call ends with its context. Each
// test has a place of its own.
func RunReading(t *testing.T, f func(t *testing.T) Network) {
	runLineTests(t, f, []lineTest{
		{"connection lost while reading", testReadingLost},
		{"silence in every call", testSilentCalls},
		{"silence at the close", testSilentClose},
		{"silence at the start", testSilentOpen},
		{"highest number kept", testLastSeqKept},
	})
}

// testReadingLost cuts the connection at later and later places of the data. A
// part of the data must never be taken for all of it.
func testReadingLost(l *line) {
	l.fill()
	for n := 0; n < 1<<20; n += n/2 + 100 {
		l.proxy.CutAfter(ToClient, n)
		if err := l.readAll(); err != nil {
			l.t.Logf("cut after %d bytes: %v", n, err)
		}
		eventually(l.t, "reading after the loss", func() bool { return l.readAll() == nil })
	}
	if l.proxy.Cuts() < 10 {
		l.t.Errorf("%d connections were cut, want more", l.proxy.Cuts())
	}
	l.reopen()
}

// testSilentCalls calls each method while no bytes pass.
func testSilentCalls(l *line) {
	l.fill()
	calls := map[string]func(context.Context) error{
		"replay": func(ctx context.Context) error {
			return l.s.Replay(ctx, func(*store.Record) error { return nil })
		},
		"extras": func(ctx context.Context) error {
			return l.s.Extras(ctx, "", func(string, []byte) error { return nil })
		},
		"commit": func(ctx context.Context) error { return l.s.Commit(ctx, []store.Op{put("unheard", nil)}) },
	}
	var some store.Record
	for _, some = range l.jobs {
		break
	}
	if s, ok := l.s.(store.Reader); ok {
		calls["heads"] = func(ctx context.Context) error {
			return s.ReplayHeads(ctx, func(*store.Record, int) error { return nil })
		}
		calls["payload"] = func(ctx context.Context) error { _, err := s.ReadPayload(ctx, &some); return err }
	}
	if s, ok := l.s.(store.Numbered); ok {
		calls["last number"] = func(ctx context.Context) error { _, err := s.LastSeq(ctx); return err }
	}
	if s, ok := l.s.(store.Compacter); ok {
		calls["compact"] = s.Compact
	}
	if s, ok := l.s.(store.Checker); ok {
		calls["check"] = func(ctx context.Context) error { return s.Check(ctx, func(string) {}) }
	}
	for name, call := range calls {
		for _, idle := range []bool{true, false} { // an existing connection, and one that must be opened
			if !idle {
				l.proxy.Cut()
			}
			l.proxy.Stall()
			l.within(name, 5*time.Second, func(ctx context.Context) {
				ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
				if err := call(ctx); err == nil {
					l.t.Errorf("%s of a silent server: got nil, want an error", name)
				}
			})
			l.proxy.Resume()
			l.recover()
			eventually(l.t, name+" after the silence", func() bool { return call(l.ctx) == nil })
			delete(l.extras, "unheard")
			l.commit(forget("unheard"))
		}
	}
	other := l.Open(l.t, l.proxy.Addr())
	defer other.Close()
	if s, ok := other.(store.Locker); ok {
		l.proxy.Stall()
		l.within("lock", 5*time.Second, func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			var held *store.HeldError
			if err := s.TryLock(ctx, "other"); err == nil || errors.As(err, &held) {
				l.t.Errorf("lock of a silent server: got %v, want that it does not answer", err)
			}
		})
		l.proxy.Resume()
	}
	l.reopen()
}

// closeLimit is the maximum duration of a Close whose server no longer answers.
// A Close may try to undo a batch and to free the lock, each for some seconds.
const closeLimit = 20 * time.Second

// testSilentClose closes a store whose server no longer answers, after a batch
// whose outcome is unknown.
func testSilentClose(l *line) {
	l.fill()
	l.proxy.Stall()
	ctx, cancel := context.WithTimeout(l.ctx, 200*time.Millisecond)
	_ = l.s.Commit(ctx, l.batch(3, []byte("unheard")))
	cancel()
	l.within("close", closeLimit, func(context.Context) { _ = l.s.Close() })
	l.proxy.Cut()
	l.proxy.Resume()
	l.open()
}

// testSilentOpen opens a store whose server accepts connections and never
// answers.
func testSilentOpen(l *line) {
	l.fill()
	l.close()
	l.proxy.Stall()
	if l.TryOpen == nil {
		l.t.Fatal("there is no TryOpen")
	}
	l.within("open", 5*time.Second, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		if s, err := l.TryOpen(ctx, l.proxy.Addr()); err == nil {
			l.t.Error("open of a silent server: got nil, want an error")
			_ = s.Close()
		}
	})
	l.proxy.Resume()
	l.open()
	l.compare()
}
