package server_test

import (
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// startPiped runs a server inside a synctest bubble, where time passes only
// while everything waits.
func startPiped(t *testing.T, cfg server.Config) (*server.Server, func() *peer) {
	t.Helper()
	cfg.Host = "test"
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, waits := cfg.Store.(*slow); !waits {
		if err := s.Restored(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s, func() *peer { return pipe(t, s) }
}

// pipe returns a connection to s through memory.
func pipe(t *testing.T, s *server.Server) *peer {
	mine, its := net.Pipe()
	go s.ServeConn(its) //nolint:errcheck // seen by the peer
	p := newPeer(t, mine)
	p.SetDeadline(time.Time{}) //nolint:errcheck // fails only on a closed connection
	return p
}

func TestEpochToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{})
		w, c := dial(), dial()
		due := time.Now().Add(3 * time.Hour).Truncate(time.Second)
		h := c.submit(wire.SubmitJobEpoch, "f", "", strconv.FormatInt(due.Unix(), 10), "")
		w.send(req(wire.CanDo, "f"), req(wire.PreSleep))
		w.want(`NOOP`)
		if late := time.Since(due); late < 0 || late > time.Millisecond {
			t.Errorf("came %v late", late)
		}
		if w.grab() != h {
			t.Error("another job came")
		}
	})
}

func TestWakeAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{})
		first, second, c := dial(), dial(), dial()
		first.send(req(wire.CanDo, "f"), req(wire.PreSleep))
		first.sync()
		second.send(req(wire.CanDo, "f"), req(wire.PreSleep))
		second.sync()
		began := time.Now()
		c.submit(wire.SubmitJobBG, "f", "", "")
		first.want(`NOOP`)
		second.want(`NOOP`)
		if took := time.Since(began); took != server.WakeAfter {
			t.Errorf("the next was woken after %v, want %v", took, server.WakeAfter)
		}
	})
}

func TestTimeLimitToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{})
		slow, next, c := dial(), dial(), dial()
		slow.send(req(wire.CanDoTimeout, "f", "90000"))
		slow.sync()
		h := c.submit(wire.SubmitJob, "f", "", "")
		began := time.Now()
		slow.grab()
		next.send(req(wire.CanDo, "f"), req(wire.PreSleep))
		next.want(`NOOP`)
		if took := time.Since(began); took != 90*time.Second {
			t.Errorf("the job came back after %v, want 90s", took)
		}
		if next.grab() != h {
			t.Error("another job came")
		}
	})
}

// A store that hangs is given up after a while, not waited for for ever.
func TestCloseGivesUpAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := gated()
		s, dial := startPiped(t, server.Config{Store: st})
		c := dial()
		c.send(req(wire.SubmitJobBG, "f", "", ""))
		<-st.entered
		began := time.Now()
		closed := make(chan error, 1)
		go func() { closed <- s.Close() }()
		c.wantError(wire.CodeQueueError)
		c.wantEnd()
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("Close took %v", took)
		}
	})
}

// A client that does not read holds the server's end up for a few seconds.
func TestCloseGivesUpAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial := startPiped(t, server.Config{})
		dial().send(req(wire.EchoReq, "x"))
		synctest.Wait()
		began := time.Now()
		s.Close()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

// settable gives the server, which has no connections yet, a wall clock that can be
// set forward or back.
func settable(s *server.Server) (set func(by time.Duration)) {
	var by atomic.Int64
	s.SetWallClock(func(t time.Time) int64 { return t.Add(time.Duration(by.Load())).UnixMilli() })
	return func(d time.Duration) { by.Store(int64(d)) }
}

// A healthy worker keeps its job when the wall clock is set forward, and a
// worker that hangs loses it in time when the clock is set back.
func TestTimeLimitWhenTheWallClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s, dial := startPiped(t, server.Config{})
			set := settable(s)
			slow, next, c := dial(), dial(), dial()
			slow.send(req(wire.CanDoTimeout, "f", "90000"))
			slow.sync()
			h := c.submit(wire.SubmitJob, "f", "", "")
			began := time.Now()
			slow.grab()
			set(by)
			next.send(req(wire.CanDo, "f"), req(wire.PreSleep))
			next.want(`NOOP`)
			if took := time.Since(began); took != 90*time.Second {
				t.Errorf("clock set by %v: the job came back after %v, want 90s", by, took)
			}
			if next.grab() != h {
				t.Error("another job came")
			}
		})
	}
}

// A job never waits beside a sleeping worker because the clock was set back.
func TestWakeAfterWhenTheWallClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dial := startPiped(t, server.Config{})
		set := settable(s)
		first, second, c := dial(), dial(), dial()
		first.send(req(wire.CanDo, "f"), req(wire.PreSleep))
		first.sync()
		second.send(req(wire.CanDo, "f"), req(wire.PreSleep))
		second.sync()
		began := time.Now()
		c.submit(wire.SubmitJobBG, "f", "", "")
		first.want(`NOOP`)
		set(-time.Hour)
		second.want(`NOOP`)
		if took := time.Since(began); took != server.WakeAfter {
			t.Errorf("the next was woken after %v, want %v", took, server.WakeAfter)
		}
	})
}

// A job that failed waits as long as its policy says.
func TestRetryWaitWhenTheWallClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s, dial := startPiped(t, server.Config{
				Policies: map[string]server.Policy{"f": {Retries: -1, MinWait: time.Minute, MaxWait: time.Minute}},
			})
			set := settable(s)
			w, c := dial(), dial()
			h := c.submit(wire.SubmitJobBG, "f", "", "")
			w.send(req(wire.CanDo, "f"))
			w.grab()
			w.send(req(wire.WorkFail, h))
			w.sync()
			began := time.Now()
			set(by)
			w.send(req(wire.PreSleep))
			w.want(`NOOP`)
			if took := time.Since(began); took < 30*time.Second || took > 60*time.Second {
				t.Errorf("clock set by %v: the job came back after %v, want 30s to 60s", by, took)
			}
		})
	}
}

// A job that is delayed to a date comes when the wall clock shows it, and not
// before.
func TestEpochWhenTheWallClockIsSet(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour, 4 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s, dial := startPiped(t, server.Config{})
			set := settable(s)
			w, c := dial(), dial()
			due := time.Now().Add(3 * time.Hour).Truncate(time.Second)
			c.submit(wire.SubmitJobEpoch, "f", "", strconv.FormatInt(due.Unix(), 10), "")
			w.send(req(wire.CanDo, "f"), req(wire.PreSleep))
			w.sync()
			time.Sleep(time.Minute)
			set(by)
			due = due.Add(-by)
			if now := time.Now(); due.Before(now) {
				due = now
			}
			w.want(`NOOP`)
			if late := time.Since(due); late < 0 || late > time.Second {
				t.Errorf("clock set by %v: came %v late", by, late)
			}
		})
	}
}

// A function that nobody uses leaves status; one that an administrator has made
// stays.
func TestFunctionsThatNobodyUsesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, dial := startPiped(t, server.Config{})
		w, c := dial(), dial()
		w.send(req(wire.CanDo, "f"), req(wire.ResetAbilities), req(wire.CanDo, "kept"))
		w.sync()
		c.line("create function made")
		time.Sleep(50 * time.Minute)
		if got := c.list("status"); len(got) != 3 {
			t.Errorf("after 50 minutes: %q", got)
		}
		time.Sleep(50 * time.Minute)
		if got := strings.Join(c.list("status"), "; "); got != "kept\t0\t0\t1; made\t0\t0\t0" {
			t.Errorf("after 100 minutes: %q", got)
		}
	})
}
