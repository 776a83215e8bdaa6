package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestReconnect(t *testing.T) {
	server := storetest.StartRedis(t)
	proxy := storetest.StartProxy(t, server.Addr())
	s := open(t, proxy.Addr())
	defer s.Close()
	lock(t, s, "test")
	commit(t, s, add(1, "f", "a", "one"))

	proxy.Cut()
	eventually(t, "commit after a cut", func() bool { return s.Commit(t.Context(), []store.Op{add(2, "f", "b", "two")}) == nil })
	proxy.Refuse(true)
	proxy.Cut()
	start := time.Now()
	for range 3 {
		if err := s.Commit(t.Context(), []store.Op{add(3, "f", "c", "never")}); err == nil {
			t.Error("commit without Redis: got no error")
		}
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("three refusals took %v", d)
	}
	proxy.Refuse(false)
	commit(t, s, add(4, "f", "d", "four"))
	server.Kill()
	server.Start(t)
	eventually(t, "commit after Redis's restart", func() bool { return s.Commit(t.Context(), []store.Op{add(5, "f", "e", "five")}) == nil })
	if got, want := payloads(t, s), "one two four five"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	select {
	case <-s.Lost():
		t.Error("lost")
	default:
	}
}

// TestStalled checks that a commit ends with its context when nothing answers.
func TestStalled(t *testing.T) {
	server := storetest.StartRedis(t)
	proxy := storetest.StartProxy(t, server.Addr())
	s := open(t, proxy.Addr())
	defer s.Close()
	lock(t, s, "test")
	commit(t, s, add(1, "f", "a", "one"))
	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := s.Commit(ctx, []store.Op{add(2, "f", "b", "two")})
	if uncertain := new(store.UncertainError); !errors.As(err, &uncertain) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an *UncertainError of the deadline", err)
	}
	proxy.Resume()
	eventually(t, "commit", func() bool { return s.Commit(t.Context(), []store.Op{add(3, "f", "c", "three")}) == nil })
	if got, want := payloads(t, s), "one three"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestUncertain loses the answers to commits.
func TestUncertain(t *testing.T) {
	server := storetest.StartRedis(t)
	proxy := storetest.StartProxy(t, server.Addr())
	s := open(t, proxy.Addr())
	defer func() { s.Close() }()
	lock(t, s, "test")
	kept := add(1, "f", "kept", "kept")
	ended := add(2, "f", "ended", "ended")
	commit(t, s, kept, ended)

	lose := func(mark string, batch ...store.Op) {
		t.Helper()
		proxy.LoseAnswerTo([]byte(mark))
		err := s.Commit(t.Context(), batch)
		if uncertain := new(store.UncertainError); !errors.As(err, &uncertain) {
			t.Fatalf("commit without answer: got %v, want an *UncertainError", err)
		}
		eventually(t, "the batch in Redis", func() bool { return strings.Contains(server.Do(t, "KEYS", "*"), "lost") })
	}
	lose("last of it", add(3, "f", "lost", "x"), done(ended), add(4, "f", "", "a\x00b"), add(5, "f-g", "", "last of it"))
	commit(t, s, add(6, "f", "next", "next"))
	if got, want := payloads(t, s), "kept next"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}

	// A replay sees none of it either.
	lose("last of it", add(7, "f", "lost", "last of it"))
	if got, want := payloads(t, s), "kept next"; got != want {
		t.Errorf("at replay: got %q, want %q", got, want)
	}

	// The same batch again is none that is undone.
	again := add(8, "f", "lost", "last of it")
	lose("last of it", again)
	commit(t, s, again)
	if got, want := payloads(t, s), "kept next last of it"; got != want {
		t.Errorf("the same again: got %q, want %q", got, want)
	}
	commit(t, s, done(again))

	// Nor does the end of the store leave it there.
	lose("last of it", add(9, "f", "lost", "last of it"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, proxy.Addr())
	lock(t, s, "test")
	if got, want := payloads(t, s), "kept next"; got != want {
		t.Errorf("after Close: got %q, want %q", got, want)
	}

	// Nor a batch of more than one part.
	batch := []store.Op{add(10, "f", "lost", "x")}
	for i := range 3 * partOps {
		batch = append(batch, add(uint64(11+i), "f", "", "x"))
	}
	lose("EXEC\r\n", batch...)
	commit(t, s, add(100_000, "f", "last", "last"))
	if got, want := payloads(t, s), "kept next last"; got != want {
		t.Errorf("after parts: got %q, want %q", got, want)
	}
}

// TestCutEverywhere cuts the connection at every place of a batch: it is there
// as a whole, or not at all.
func TestCutEverywhere(t *testing.T) {
	server := storetest.StartRedis(t)
	proxy := storetest.StartProxy(t, server.Addr())
	s := open(t, proxy.Addr())
	defer s.Close()
	commit(t, s, add(1, "f", "kept", "kept"))
	batch := []store.Op{add(2, "f", "a", "a"), add(3, "f", "", "b")}
	for n := 0; ; n += 17 {
		commit(t, s, store.Op{Kind: store.Delete, Key: "none"}) // a connection is there
		proxy.CutAfter(storetest.ToServer, n)
		err := s.Commit(t.Context(), batch)
		if err == nil {
			break
		}
		if got := payloads(t, s); got != "kept" {
			t.Fatalf("cut after %d bytes, %v: got %q, want kept", n, err, got)
		}
	}
}

// TestParts checks that a batch of several parts is refused as a whole.
func TestParts(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.Addr())
	defer s.Close()
	lock(t, s, "test")
	large := func(first int) (batch []store.Op) {
		for i := range 3*partOps + 1 {
			batch = append(batch, add(uint64(first+i), "f", "", "x"))
		}
		return batch
	}
	commit(t, s, large(1)...)
	server.Do(t, "CONFIG", "SET", "maxmemory", "1")
	if err := s.Commit(t.Context(), large(10_000)); !errors.Is(err, store.ErrFull) {
		t.Errorf("without room: got %v, want %v", err, store.ErrFull)
	}
	if err := s.Commit(t.Context(), large(10_000)[:1]); !errors.Is(err, store.ErrFull) {
		t.Errorf("one without room: got %v, want %v", err, store.ErrFull)
	}
	commit(t, s, done(add(1, "f", "", ""))) // a Done needs none
	server.Do(t, "CONFIG", "SET", "maxmemory", "0")
	if n := len(replay(t, s)); n != 3*partOps {
		t.Errorf("got %d jobs, want %d", n, 3*partOps)
	}
	// Scripts may be forgotten at any time.
	server.Do(t, "SCRIPT", "FLUSH")
	commit(t, s, large(10_000)...)
	server.Do(t, "SCRIPT", "FLUSH")
	commit(t, s, done(add(2, "f", "", "")))
	if n := len(replay(t, s)); n != 6*partOps {
		t.Errorf("got %d jobs, want %d", n, 6*partOps)
	}
	// A value of another type under the key does not matter.
	server.Do(t, "SET", "_gear_-f-taken", "a string")
	commit(t, s, add(50_000, "f", "taken", "a hash"))
	if got, err := s.ReadPayload(t.Context(), add(50_000, "f", "taken", "").Record); string(got) != "a hash" || err != nil {
		t.Errorf("got %q, %v, want a hash", got, err)
	}
}

func TestLimits(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.Addr())
	defer s.Close()
	huge := make([]byte, maxValue+1)
	huge[0] = 1
	for _, op := range []store.Op{
		{Kind: store.Add, Record: &store.Record{Seq: 2, Function: "f", Payload: huge}},
		{Kind: store.Put, Key: "huge", Value: huge},
	} {
		if err := s.Commit(t.Context(), []store.Op{add(1, "f", "a", "x"), op}); err == nil {
			t.Errorf("%s of %d bytes: got no error", op.Kind, len(huge))
		}
	}
	if got := payloads(t, s); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestWarnings(t *testing.T) {
	server := storetest.StartRedis(t)
	for _, tc := range []struct{ name, value, want string }{
		{"appendfsync", "always", ""},
		{"appendfsync", "everysec", "appendfsync always"},
		{"appendonly", "no", "appendonly yes"},
		{"maxmemory-policy", "allkeys-lru", "noeviction"},
	} {
		server.Do(t, "CONFIG", "SET", tc.name, tc.value)
		var text bytes.Buffer
		s := open(t, server.Addr(), func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
		s.Close()
		if got := text.String(); !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") {
			t.Errorf("%s %s: got %q, want %q in it", tc.name, tc.value, got, tc.want)
		}
	}
	server.Do(t, "ACL", "SETUSER", "limited", "on", ">secret", "~*", "+@all", "-config", "-client|list", "-info")
	var text bytes.Buffer
	s := open(t, server.Addr(), func(c *Config) {
		c.User, c.Password, c.DB = "limited", "secret", 3
		c.Logger = slog.New(slog.NewTextHandler(&text, nil))
	})
	defer s.Close()
	if got := text.String(); !strings.Contains(got, "does not tell") {
		t.Errorf("without CONFIG: got %q", got)
	}
	lock(t, s, "test")
	commit(t, s, add(1, "f", "a", "one"))
	if got := server.Do(t, "-n", "3", "KEYS", "_gear_*"); got != "_gear_-f-a" {
		t.Errorf("database 3: got %q", got)
	}
}

func TestSocket(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, "", func(c *Config) { c.Socket = server.Socket() })
	defer s.Close()
	lock(t, s, "test")
	commit(t, s, add(1, "f", "a", "one"))
	if got := payloads(t, s); got != "one" {
		t.Errorf("got %q, want one", got)
	}
}

// TestKill kills Redis under load: all that was acknowledged is there.
func TestKill(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	server := storetest.StartRedis(t)
	s := open(t, server.Addr())
	defer s.Close()
	lock(t, s, "test")
	wanted := make(map[uint64]bool)
	seq := uint64(0)
	var waiting []store.Op
	for range rounds {
		end := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				var batch []store.Op
				for range 20 {
					seq++
					batch = append(batch, add(seq, "f", fmt.Sprint("u", seq), "x"))
				}
				var ends []store.Op
				if len(waiting) > 200 {
					for _, op := range waiting[:10] {
						ends = append(ends, done(op))
					}
				}
				if err := s.Commit(t.Context(), append(batch[:20:20], ends...)); err != nil {
					for _, op := range ends { // they may be there or not
						delete(wanted, op.Record.Seq)
					}
					waiting = waiting[len(ends):]
					for _, op := range batch {
						wanted[op.Record.Seq] = false
					}
					continue
				}
				for _, op := range ends {
					wanted[op.Record.Seq] = false
				}
				waiting = append(waiting[len(ends):], batch...)
				for _, op := range batch {
					wanted[op.Record.Seq] = true
				}
			}
		})
		timer := time.NewTimer(150 * time.Millisecond)
		<-timer.C
		server.Kill()
		server.Start(t)
		close(end)
		wg.Wait()
		eventually(t, "commit after the kill", func() bool { return s.Commit(t.Context(), nil) == nil && s.undoUncertain(t.Context()) == nil })
		found := make(map[uint64]bool)
		for _, r := range replay(t, s) {
			found[r.Seq] = true
		}
		for n, want := range wanted {
			if want != found[n] {
				t.Errorf("job %d: got %t, want %t", n, found[n], want)
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d jobs", seq)
}

func BenchmarkAdds(b *testing.B) {
	server := storetest.StartRedis(b)
	for _, n := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			server.Do(b, "FLUSHALL")
			s := open(b, server.Addr())
			defer s.Close()
			if err := s.TryLock(b.Context(), "bench"); err != nil {
				b.Fatal(err)
			}
			payload := strings.Repeat("x", 100)
			seq := uint64(0)
			for b.Loop() {
				batch := make([]store.Op, n)
				for i := range batch {
					seq++
					batch[i] = add(seq, "function", fmt.Sprint("unique", seq), payload)
				}
				if err := s.Commit(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "adds/s")
		})
	}
}
