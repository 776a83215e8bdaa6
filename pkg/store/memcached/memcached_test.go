package memcached

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a store on servers.
func open(t testing.TB, servers []string, change ...func(*Config)) *Store {
	t.Helper()
	c := Config{
		Servers: servers,
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

// promising is a store that the suite tests as one that keeps everything,
// which memcached does as long as its process lives and has room.
type promising struct{ *Store }

func (p promising) Caps() store.Caps {
	c := p.Store.Caps()
	c.Durable = true
	return c
}

func TestSuite(t *testing.T) {
	t.Run("as it is", func(t *testing.T) {
		t.Parallel()
		server := storetest.StartMemcached(t, "-m", "256")
		proxy := storetest.StartProxy(t, server.Addr())
		storetest.Run(t, func(t *testing.T) storetest.Place {
			server.Do(t, "flush_all")
			return storetest.Place{
				Open: func(t testing.TB) store.Store { return open(t, []string{proxy.Addr()}) },
				Fail: func(testing.TB, store.Store) func() {
					proxy.Refuse(true)
					proxy.Cut()
					return func() { proxy.Refuse(false) }
				},
			}
		})
	})
	t.Run("three servers that keep all", func(t *testing.T) {
		t.Parallel()
		servers := []*storetest.Memcached{
			storetest.StartMemcached(t, "-m", "128"), storetest.StartMemcached(t, "-m", "128"), storetest.StartMemcached(t, "-m", "128", "-I", "2m"),
		}
		var addrs []string
		for _, server := range servers {
			addrs = append(addrs, server.Addr())
		}
		storetest.Run(t, func(t *testing.T) storetest.Place {
			for _, server := range servers {
				server.Do(t, "flush_all")
			}
			return storetest.Place{Open: func(t testing.TB) store.Store { return promising{open(t, addrs)} }}
		})
	})
}

func TestReading(t *testing.T) {
	t.Parallel()
	server := storetest.StartMemcached(t, "-m", "256")
	storetest.RunReading(t, func(t *testing.T) storetest.Network {
		server.Do(t, "flush_all")
		return storetest.Network{
			Addr: server.Addr(),
			Open: func(t testing.TB, addr string) store.Store { return promising{open(t, []string{addr})} },
			TryOpen: func(ctx context.Context, addr string) (store.Store, error) {
				return Open(ctx, Config{Servers: []string{addr}, Logger: slog.New(slog.DiscardHandler)})
			},
		}
	})
}

// TestSmallItems runs the tests of sizes where an item has no room for most
// payloads, nor for long names.
func TestSmallItems(t *testing.T) {
	t.Parallel()
	server := storetest.StartMemcached(t, "-m", "512", "-I", "8k", "-o", "slab_chunk_max=8192")
	storetest.RunLimits(t, func(t *testing.T) storetest.Place {
		server.Do(t, "flush_all")
		return storetest.Place{Open: func(t testing.TB) store.Store { return promising{open(t, []string{server.Addr()})} }}
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

// keys returns the keys that a server has.
func keys(t testing.TB, server *storetest.Memcached) (all []string) {
	t.Helper()
	p := newPool([]string{server.Addr()})
	defer p.close()
	if err := p.listServer(t.Context(), 0, func(key string) bool { all = append(all, key); return true }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
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
