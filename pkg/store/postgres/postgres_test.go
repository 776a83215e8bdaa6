package postgres

import (
	"context"
	"fmt"
	"strings"
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
	u, err := store.ParseURL(url + "&table=" + table)
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
	p.link.Abandon(func(s *session) { _ = s.net.Close() })
	p.db.readers.close()
}

func TestSuite(t *testing.T) {
	t.Parallel()
	server := storetest.StartPostgres(t)
	for _, encoding := range []string{"UTF8", "LATIN1", "SQL_ASCII"} {
		t.Run(encoding, func(t *testing.T) {
			if testing.Short() && encoding != "UTF8" {
				t.Skip("short: one encoding is enough")
			}
			t.Parallel()
			db := strings.ToLower(encoding)
			server.Query(t, "CREATE DATABASE "+db+" ENCODING '"+encoding+"' TEMPLATE template0")
			url := strings.Replace(server.URL(server.Addr()), "/postgres?", "/"+db+"?", 1)
			storetest.Run(t, func(t *testing.T) storetest.Place {
				table := newTable()
				return storetest.Place{
					Open:  func(t testing.TB) store.Store { return open(t, url, table) },
					Crash: crash,
				}
			})
		})
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	server := storetest.StartPostgres(t)
	storetest.RunNetwork(t, func(t *testing.T) storetest.Network {
		table := newTable()
		return storetest.Network{
			Addr:  server.Addr(),
			Open:  func(t testing.TB, addr string) store.Store { return open(t, server.URL(addr), table) },
			Kill:  server.Kill,
			Start: server.Start,
		}
	})
}

func TestReading(t *testing.T) {
	t.Parallel()
	server := storetest.StartPostgres(t)
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
	server := storetest.StartPostgres(t)
	storetest.RunSwap(t, func(t *testing.T) storetest.Swap {
		table := newTable()
		return storetest.Swap{
			Options: []string{"--queue-type=Postgres", "--libpq-conninfo=" + server.Conninfo(), "--libpq-table=" + table},
			Open:    func(t testing.TB) store.Store { return open(t, server.URL(server.Addr()), table) },
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	server := storetest.StartPostgres(b)
	storetest.Bench(b, func(b *testing.B) store.Store {
		s := open(b, server.URL(server.Addr()), newTable())
		if err := s.TryLock(b.Context(), "bench"); err != nil {
			b.Fatal(err)
		}
		return s
	})
}

func TestConstraint(t *testing.T) {
	server := storetest.StartPostgres(t)
	table := newTable()
	s := open(t, server.URL(server.Addr()), table)
	server.Query(t, "ALTER TABLE "+table+" ADD CHECK (function_name <> 'forbidden')")
	storetest.CheckRefused(t, s, "forbidden")
}
