package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

// TestLease passes the lock to another when its holder can't be reached.
func TestLease(t *testing.T) {
	server := storetest.StartRedis(t)
	proxy := storetest.StartProxy(t, server.Addr())
	short := func(c *Config) { c.lease = 300 * time.Millisecond }
	first := open(t, proxy.Addr(), short)
	defer first.Close()
	lock(t, first, "first.example")
	commit(t, first, add(1, "f", "a", "one"))
	second := open(t, server.Addr(), short)
	defer second.Close()

	// While it can, the holder keeps it.
	for range 30 {
		err := second.TryLock(t.Context(), "second.example")
		if held := new(store.HeldError); !errors.As(err, &held) || !strings.HasPrefix(held.By, "first.example, since 2") {
			t.Fatalf("second: got %v, want held by first.example", err)
		}
		if err := second.Commit(t.Context(), []store.Op{add(2, "f", "b", "no")}); err == nil {
			t.Fatal("commit to a store that another holds: got no error")
		}
	}

	proxy.Stall() // the sent bytes wait in the network
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	err := first.Commit(ctx, []store.Op{add(3, "f", "c", "too late")})
	cancel()
	if err == nil {
		t.Error("commit without an answer: got no error")
	}
	eventually(t, "second holds it", func() bool { return second.TryLock(t.Context(), "second.example") == nil })
	commit(t, second, add(4, "f", "d", "two"))
	proxy.Resume()
	<-first.Lost()
	for range 3 {
		if err := first.Commit(t.Context(), []store.Op{add(5, "f", "e", "lost")}); err == nil {
			t.Error("commit to a lost store: got no error")
		}
	}
	// The jobs that had reached Redis while first held the store are second's
	// now.
	if got := strings.TrimPrefix(payloads(t, second), "one "); got != "two" && got != "too late two" {
		t.Errorf("got %q, want two", got)
	}
}

// TestHolderGone checks that nobody waits for a holder whose process has ended.
func TestHolderGone(t *testing.T) {
	server := storetest.StartRedis(t)
	first := open(t, server.Addr(), func(c *Config) { c.lease = time.Hour })
	lock(t, first, "first.example")
	second := open(t, server.Addr())
	defer second.Close()
	if err := second.TryLock(t.Context(), "second.example"); err == nil {
		t.Fatal("second holds what first holds")
	}
	abandon(first)
	eventually(t, "second holds it", func() bool { return second.TryLock(t.Context(), "second.example") == nil })
	lock(t, second, "again") // is no error
}

// TestFence checks that a batch sent on a lost connection is never executed
// late.
func TestFence(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.Addr())
	defer s.Close()
	lock(t, s, "test")
	commit(t, s, add(1, "f", "a", "one"))
	late := &batch{layout: &s.layout, fence: s.fenceText()}
	late.addJob(add(2, "f", "b", "late").Record)
	s.writeMu.Lock()
	s.dropWriter()
	s.writeMu.Unlock()
	commit(t, s, add(3, "f", "c", "three"))

	c, err := s.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	late.finish()
	if err := s.sendBatch(t.Context(), c, late); err == nil || !strings.HasPrefix(err.Error(), "GMPASSED") {
		t.Errorf("late commit: got %v, want GMPASSED", err)
	}
	if got, want := payloads(t, s), "one three"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	select {
	case <-s.Lost():
		t.Error("lost to itself")
	default:
	}
}

// TestForgetfulRedis checks that a holder goes on when Redis restarts without
// its data, as it does without an append-only file.
func TestForgetfulRedis(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, server.Addr(), func(c *Config) { c.lease = 100 * time.Millisecond })
	defer s.Close()
	lock(t, s, "test")
	commit(t, s, add(1, "f", "a", "one"))
	server.Do(t, "FLUSHALL")
	commit(t, s, add(2, "f", "b", "two"))
	eventually(t, "the lock is back", func() bool { return server.Do(t, "EXISTS", s.layout.lock) == "1" })
	server.Do(t, "SET", s.layout.fence, "00000000000000000001 OLDER")
	commit(t, s, add(3, "f", "c", "three"))
	if got, want := payloads(t, s), "two three"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
