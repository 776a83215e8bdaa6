package redis

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store on the server at addr.
func open(t testing.TB, addr string, change ...func(*Config)) *Store {
	t.Helper()
	c := Config{
		Addr:    addr,
		Logger:  slog.New(slog.DiscardHandler),
		Skipped: func(what string, err error) { t.Errorf("skipped %s: %v", what, err) },
	}
	for _, f := range change {
		f(&c)
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// abandon leaves s as the end of its process would.
func abandon(s *Store) {
	s.mu.Lock()
	s.keepsLock = true
	s.mu.Unlock()
	s.writeMu.Lock()
	s.undo = nil
	s.writeMu.Unlock()
	_ = s.Close()
}

func TestSuite(t *testing.T) {
	server := storetest.StartRedis(t)
	storetest.Run(t, func(t *testing.T) storetest.Place {
		server.Do(t, "FLUSHALL")
		return storetest.Place{
			Open:  func(t testing.TB) store.Store { return open(t, server.Addr()) },
			Crash: func(_ testing.TB, s store.Store) { abandon(s.(*Store)) },
			Fail: func(t testing.TB, _ store.Store) func() {
				server.Do(t, "CONFIG", "SET", "maxmemory", "1")
				return func() { server.Do(t, "CONFIG", "SET", "maxmemory", "0") }
			},
		}
	})
}

func TestReading(t *testing.T) {
	server := storetest.StartRedis(t)
	storetest.RunReading(t, func(t *testing.T) storetest.Network {
		server.Do(t, "FLUSHALL")
		return storetest.Network{
			Addr: server.Addr(),
			Open: func(t testing.TB, addr string) store.Store { return open(t, addr) },
			TryOpen: func(ctx context.Context, addr string) (store.Store, error) {
				return Open(ctx, Config{Addr: addr, Logger: slog.New(slog.DiscardHandler)})
			},
		}
	})
}

// TestSmallLimit runs the tests of sizes where Redis takes strings that are
// shorter than by default.
func TestSmallLimit(t *testing.T) {
	server := storetest.StartRedis(t)
	server.Do(t, "CONFIG", "SET", "proto-max-bulk-len", "1048576")
	storetest.RunLimits(t, func(t *testing.T) storetest.Place {
		server.Do(t, "FLUSHALL")
		return storetest.Place{Open: func(t testing.TB) store.Store { return open(t, server.Addr()) }}
	})
}

// add returns the Add of a job.
func add(seq uint64, function, unique, payload string) store.Op {
	return store.Op{Kind: store.Add, Record: &store.Record{
		Seq: seq, Function: function, Unique: unique, Payload: []byte(payload), Priority: 1,
	}}
}

// done returns the end of the job that op adds.
func done(op store.Op) store.Op {
	r := op.Record
	return store.Op{Kind: store.Done, Record: &store.Record{Seq: r.Seq, Function: r.Function, Unique: r.Unique}}
}

func commit(t testing.TB, s *Store, ops ...store.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
}

func replay(t testing.TB, s *Store) (all []store.Record) {
	t.Helper()
	err := s.Replay(t.Context(), func(r *store.Record) error {
		all = append(all, *r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// payloads returns the payloads of the waiting jobs, in order.
func payloads(t testing.TB, s *Store) string {
	t.Helper()
	var all []string
	for _, r := range replay(t, s) {
		all = append(all, string(r.Payload))
	}
	return strings.Join(all, " ")
}

func lock(t testing.TB, s *Store, name string) {
	t.Helper()
	if err := s.TryLock(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not in time: %s", what)
		}
	}
}
