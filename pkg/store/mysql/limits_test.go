package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

// TestSmallLimits runs the tests of sizes where packets and columns are smaller
// than by default.
func TestSmallLimits(t *testing.T) {
	server := storetest.StartMySQL(t)
	server.Query(t, "SET GLOBAL max_allowed_packet = 1048576")
	place := func(t *testing.T, table string) storetest.Place {
		return storetest.Place{
			Open:  func(t testing.TB) store.Store { return open(t, server.URL(server.Addr()), table) },
			Crash: crash,
		}
	}
	t.Run("max_allowed_packet", func(t *testing.T) {
		storetest.RunLimits(t, func(t *testing.T) storetest.Place { return place(t, newTable()) })
	})
	t.Run("columns", func(t *testing.T) {
		storetest.RunLimits(t, func(t *testing.T) storetest.Place {
			table := newTable()
			server.Query(t, "CREATE TABLE "+table+" (unique_key VARBINARY(40), function_name VARBINARY(60), priority INT, data BLOB, when_to_run INT, "+
				"gm_function VARBINARY(300), UNIQUE KEY (unique_key, function_name)) ENGINE=InnoDB;"+
				"CREATE TABLE "+table+"_gm (name VARBINARY(220) PRIMARY KEY, value MEDIUMBLOB NOT NULL) ENGINE=InnoDB")
			s := open(t, server.URL(server.Addr()), table)
			want := store.Caps{Durable: true, Atomic: true, Lists: true, MaxPayload: 65535, MaxValue: 1<<20 - packetRest, MaxKey: 220, MaxName: 300}
			if got := s.Caps(); got != want {
				t.Errorf("caps: got %+v, want %+v", got, want)
			}
			return place(t, table)
		})
	})
}

// TestPacketLimitChanges has an administrator change the server's
// max_allowed_packet, which counts from the next connection on.
func TestPacketLimitChanges(t *testing.T) {
	server := storetest.StartMySQL(t)
	proxy := storetest.StartProxy(t, server.Addr())
	s := open(t, server.URL(proxy.Addr()), newTable())
	job := func(seq uint64, size int) []store.Op {
		return []store.Op{{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: make([]byte, size)}}}
	}
	if err := s.Commit(t.Context(), job(1, 2<<20)); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1 << 20, 4 << 20} {
		server.Query(t, fmt.Sprint("SET GLOBAL max_allowed_packet = ", limit))
		proxy.Cut()
		size := limit - packetRest
		_ = s.Commit(t.Context(), job(2, 1)) // finds that the connection is lost
		refused := new(store.RefusedError)
		if err := s.Commit(t.Context(), job(3, size+1)); !errors.As(err, &refused) {
			t.Errorf("commit of %d bytes with max_allowed_packet %d: got %v, want a RefusedError", size+1, limit, err)
		}
		if err := s.Commit(t.Context(), job(4, size)); err != nil {
			t.Errorf("commit of %d bytes with max_allowed_packet %d: %v", size, limit, err)
		}
		if got := s.Caps().MaxPayload; got != size {
			t.Errorf("largest payload with max_allowed_packet %d: got %d, want %d", limit, got, size)
		}
	}
}

// TestLargeValuesTogether commits values of which each is a statement of its
// own: there is nothing to send between them.
func TestLargeValuesTogether(t *testing.T) {
	server := storetest.StartMySQL(t)
	s := open(t, server.URL(server.Addr()), newTable())
	large := bytes.Repeat([]byte("v"), 600<<10)
	add := func(seq uint64) store.Op {
		return store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: large}}
	}
	err := s.Commit(t.Context(), []store.Op{
		{Kind: store.Put, Key: "dead/1", Value: large},
		{Kind: store.Put, Key: "dead/2", Value: large},
		add(1), add(2),
	})
	if err != nil {
		t.Fatalf("commit of four values of %d bytes: %v", len(large), err)
	}
	found := 0
	err = s.Extras(t.Context(), "dead/", func(_ string, value []byte) error {
		if bytes.Equal(value, large) {
			found++
		}
		return nil
	})
	if err != nil || found != 2 {
		t.Errorf("extras: got %d, %v, want 2", found, err)
	}
}

func TestConstraint(t *testing.T) {
	server := storetest.StartMySQL(t)
	table := newTable()
	s := open(t, server.URL(server.Addr()), table)
	server.Query(t, "ALTER TABLE "+table+" ADD CONSTRAINT CHECK (function_name <> 'forbidden')")
	storetest.CheckRefused(t, s, "forbidden")
}
