package mysql

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

var tables atomic.Int64

// newTable returns the name of a table that no other test has.
func newTable() string { return fmt.Sprint("queue", tables.Add(1)) }

// open opens a table's store. It is closed with t.
func open(t testing.TB, url, table string) *Store {
	t.Helper()
	s, err := Open(t.Context(), config(t, url, table))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func config(t testing.TB, url, table string) Config {
	t.Helper()
	u, err := store.ParseURL(url + "?table=" + table)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseURL(u)
	if err != nil {
		t.Fatal(err)
	}
	c.Skipped = func(what string, err error) { t.Errorf("skipped %s: %v", what, err) }
	return c
}

// crash leaves s as the end of its process would.
func crash(_ testing.TB, s store.Store) {
	p := s.(*Store)
	p.link.Abandon(func(s *session) { s.Close() })
	_ = p.db.readers.Close()
}

func TestSuite(t *testing.T) {
	t.Parallel()
	server := storetest.StartMySQL(t)
	storetest.Run(t, func(t *testing.T) storetest.Place {
		table := newTable()
		return storetest.Place{
			Open:  func(t testing.TB) store.Store { return open(t, server.URL(server.Addr()), table) },
			Crash: crash,
		}
	})
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	server := storetest.StartMySQL(t)
	storetest.RunNetwork(t, func(t *testing.T) storetest.Network {
		table := newTable()
		return storetest.Network{
			Addr:  server.Addr(),
			Open:  func(t testing.TB, addr string) store.Store { return open(t, server.URL(addr), table) },
			Mark:  func(s string) []byte { return fmt.Appendf(nil, "%x", s) },
			Kill:  server.Kill,
			Start: server.Start,
		}
	})
}

func TestReading(t *testing.T) {
	t.Parallel()
	server := storetest.StartMySQL(t)
	storetest.RunReading(t, func(t *testing.T) storetest.Network {
		table := newTable()
		return storetest.Network{
			Addr: server.Addr(),
			Open: func(t testing.TB, addr string) store.Store { return open(t, server.URL(addr), table) },
			TryOpen: func(ctx context.Context, addr string) (store.Store, error) {
				return Open(ctx, config(t, server.URL(addr), table))
			},
		}
	})
}

func TestSwap(t *testing.T) {
	t.Parallel()
	server := storetest.StartMySQL(t)
	storetest.RunSwap(t, func(t *testing.T) storetest.Swap {
		table := newTable()
		return storetest.Swap{
			Options: []string{
				"--queue-type=MySQL", "--mysql-host=127.0.0.1", fmt.Sprint("--mysql-port=", server.Port()),
				"--mysql-user=gm", "--mysql-password=secret", "--mysql-db=gm", "--mysql-table=" + table,
			},
			Open: func(t testing.TB) store.Store { return open(t, server.URL(server.Addr()), table) },
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	server := storetest.StartMySQL(b)
	storetest.Bench(b, func(b *testing.B) store.Store {
		s := open(b, server.URL(server.Addr()), newTable())
		if err := s.TryLock(b.Context(), "bench"); err != nil {
			b.Fatal(err)
		}
		return s
	})
}
