package memcached

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestReconnect(t *testing.T) {
	server := storetest.StartMemcached(t)
	proxy := storetest.StartProxy(t, server.Addr())
	s := open(t, []string{proxy.Addr()})
	defer s.Close()
	lock(t, s, "test")
	commit(t, s, add(1, "f", "a", "one"))
	proxy.Cut()
	eventually(t, "commit after a cut", func() bool { return s.Commit(t.Context(), []store.Op{add(2, "f", "b", "two")}) == nil })
	proxy.Refuse(true)
	proxy.Cut()
	for range 3 {
		if err := s.Commit(t.Context(), []store.Op{add(3, "f", "c", "never")}); err == nil {
			t.Error("commit without memcached: got no error")
		}
	}
	proxy.Refuse(false)
	commit(t, s, add(4, "f", "d", "four"))
	if got, want := payloads(t, s), "one two four"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	server.Kill()
	server.Start(t)
	eventually(t, "commit after memcached's restart", func() bool { return s.Commit(t.Context(), []store.Op{add(5, "f", "e", "five")}) == nil })
	if got, want := payloads(t, s), "five"; got != want {
		t.Errorf("after memcached's restart: got %q, want %q", got, want)
	}
	if err := s.Commit(t.Context(), []store.Op{done(add(1, "f", "a", ""))}); err != nil {
		t.Errorf("end of a job that is forgotten: %v", err)
	}
}

// TestUncertain loses the answers to commits.
func TestUncertain(t *testing.T) {
	server := storetest.StartMemcached(t)
	proxy := storetest.StartProxy(t, server.Addr())
	s := open(t, []string{proxy.Addr()})
	defer s.Close()
	commit(t, s, add(1, "f", "kept", "kept"))
	for round, mark := range []string{"gm:gear_:j:", "last of it"} {
		proxy.LoseAnswerTo([]byte(mark))
		err := s.Commit(t.Context(), []store.Op{add(2, "f", "lost", "x"), add(3, "f-g", "", "last of it")})
		if uncertain := new(store.UncertainError); !errors.As(err, &uncertain) {
			t.Fatalf("commit without answer: got %v, want an *UncertainError", err)
		}
		if round == 0 {
			eventually(t, "next", func() bool { return s.Commit(t.Context(), []store.Op{add(4, "f", "next", "next")}) == nil })
		}
		if got, want := payloads(t, s), "kept next"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestStalled(t *testing.T) {
	server := storetest.StartMemcached(t)
	proxy := storetest.StartProxy(t, server.Addr())
	s := open(t, []string{proxy.Addr()})
	defer s.Close()
	commit(t, s, add(1, "f", "a", "one"))
	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Commit(ctx, []store.Op{add(2, "f", "b", "two")}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	proxy.Resume()
	commit(t, s, add(3, "f", "c", "three"))
	if got, want := payloads(t, s), "one three"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFull fills a memcached that throws nothing away.
func TestFull(t *testing.T) {
	server := storetest.StartMemcached(t, "-M", "-m", "2")
	s := open(t, []string{server.Addr()})
	defer s.Close()
	payload := strings.Repeat("x", 100_000)
	kept := 0
	var err error
	for seq := uint64(1); seq < 200 && err == nil; seq++ {
		if err = s.Commit(t.Context(), []store.Op{add(seq, "f", fmt.Sprint(seq), payload)}); err == nil {
			kept++
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v, want %v", err, store.ErrFull)
	}
	commit(t, s, done(add(1, "f", "1", "")))
	if got := len(replay(t, s)); got != kept-1 {
		t.Errorf("got %d jobs, want %d", got, kept-1)
	}
}

// TestLease passes the lock to another when its holder does not renew it.
func TestLease(t *testing.T) {
	server := storetest.StartMemcached(t)
	proxy := storetest.StartProxy(t, server.Addr())
	short := func(c *Config) { c.lease = 2 * time.Second }
	first := open(t, []string{proxy.Addr()}, short)
	defer first.Close()
	lock(t, first, "first.example")
	commit(t, first, add(1, "f", "a", "one"))
	second := open(t, []string{server.Addr()}, short)
	defer second.Close()
	for range 3 {
		err := second.TryLock(t.Context(), "second.example")
		if held := new(store.HeldError); !errors.As(err, &held) || !strings.HasPrefix(held.By, "first.example, since 2") {
			t.Fatalf("second: got %v, want held by first.example", err)
		}
		if err := second.Commit(t.Context(), []store.Op{add(2, "f", "b", "no")}); err == nil {
			t.Fatal("commit to a store that another holds: got no error")
		}
	}
	proxy.Refuse(true)
	proxy.Cut()
	eventually(t, "second holds it", func() bool { return second.TryLock(t.Context(), "second.example") == nil })
	commit(t, second, add(3, "f", "c", "two"))
	proxy.Refuse(false)
	<-first.Lost()
	if err := first.Commit(t.Context(), []store.Op{add(4, "f", "d", "lost")}); err == nil {
		t.Error("commit to a lost store: got no error")
	}
	if got, want := payloads(t, second), "one two"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCannotList checks that a memcached that cannot list its keys is reported.
func TestCannotList(t *testing.T) {
	server := storetest.StartMemcached(t, "-o", "no_lru_crawler", "-X")
	var text bytes.Buffer
	s := open(t, []string{server.Addr()}, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
	defer s.Close()
	commit(t, s, add(1, "f", "a", "one"))
	if s.Caps().Lists || !strings.Contains(text.String(), "can't list") {
		t.Errorf("got caps %+v and the log %q", s.Caps(), text.String())
	}
	if got := replay(t, s); len(got) > 0 {
		t.Errorf("got %d jobs", len(got))
	}
}

func BenchmarkAdds(b *testing.B) {
	server := storetest.StartMemcached(b, "-m", "512")
	for _, n := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			server.Do(b, "flush_all")
			s := open(b, []string{server.Addr()})
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
