package mysql

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	engine "github.com/go-sql-driver/mysql"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
	"gm/pkg/store/storetest"
)

func TestLayout(t *testing.T) {
	server := storetest.StartMySQL(t)
	s := open(t, server.URL(server.Addr()), "gearman_queue")
	const describe = "SELECT column_name, column_type, is_nullable FROM information_schema.columns " +
		"WHERE table_name = 'gearman_queue' ORDER BY ordinal_position"
	wantColumns := strings.TrimLeft(`
unique_key	varbinary(64)	YES
function_name	varbinary(255)	YES
priority	int(11)	YES
data	longblob	YES
when_to_run	int(11)	YES
seq	bigint(20)	YES
run_at_ms	bigint(20)	YES
accepted_ms	bigint(20)	YES
attempts	int(11)	YES
reducer	blob	YES
gm_unique	blob	YES
gm_function	blob	YES
`, "\n")
	if got := server.Query(t, describe); got != wantColumns {
		t.Errorf("columns: got\n%swant\n%s", got, wantColumns)
	}
	err := s.Commit(t.Context(), []store.Op{
		{Kind: store.Add, Record: &store.Record{
			Seq: 1001, Function: "resize", Unique: "a", Payload: []byte("x\x00'\\y"), Priority: 2, RunAt: 1_795_000_000_001, Accepted: 7, Attempts: 2,
		}},
		{Kind: store.Add, Record: &store.Record{Seq: 1002, Function: "resize", Reducer: "sum", Priority: 1}},
		{Kind: store.Add, Record: &store.Record{Seq: 1003, Function: "it's", Unique: "-"}},
		{Kind: store.Put, Key: "dead/1", Value: []byte("v\x00")},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantRows := strings.TrimLeft(`
a	resize	2	7800275C79	1795000001	1001	1795000000001	7	2	NULL	NULL	NULL
gm-1002	resize	1		0	1002	0	0	0	sum		NULL
gm-1003	it's	0		0	1003	0	0	0	NULL	-	NULL
`, "\n")
	rows := server.Query(t, "SELECT unique_key, function_name, priority, HEX(data), when_to_run, seq, run_at_ms, accepted_ms, attempts, "+
		"reducer, gm_unique, gm_function FROM gearman_queue ORDER BY seq")
	if rows != wantRows {
		t.Errorf("rows: got\n%swant\n%s", rows, wantRows)
	}
	if got := server.Query(t, "SELECT name, HEX(value) FROM gearman_queue_gm"); got != "dead/1\t7600\n" {
		t.Errorf("extras: got %q", got)
	}
}

// TestMigrate takes over tables that gearmand has made in some character set
// or engine, with jobs in them.
func TestMigrate(t *testing.T) {
	server := storetest.StartMySQL(t)
	for _, kind := range []string{"CHARSET=latin1", "CHARSET=utf8mb4", "CHARSET=utf8mb3", "CHARSET=latin1 ENGINE=Aria"} {
		t.Run(kind, func(t *testing.T) {
			table := newTable()
			server.Query(t, "CREATE TABLE "+table+" (unique_key VARCHAR(64), function_name VARCHAR(255), priority INT, data LONGBLOB, "+
				"when_to_run INT, UNIQUE KEY (unique_key, function_name)) "+kind)
			server.Query(t, "INSERT INTO "+table+" VALUES ('ünï', 'café', 1, 'x', 0), ('U', 'Resize', NULL, NULL, NULL), "+
				"('', 'f', 1, 'none', 0), (NULL, 'f', 0, 'no key', 5)")
			for range 2 { // it's done once
				s := open(t, server.URL(server.Addr()), table)
				got := ""
				err := s.Replay(t.Context(), func(r *store.Record) error {
					got += strings.Join([]string{r.Function, r.Unique, string(r.Payload), string('0' + rune(r.Priority))}, ":") + " "
					return nil
				})
				if want := "café:ünï:x:1 Resize:U::1 f::none:1 f::no key:0 "; got != want || err != nil {
					t.Errorf("got %q, %v, want %q", got, err, want)
				}
				// Jobs that gearmand would have refused.
				other := &store.Record{Seq: 1 << 62, Function: "resize", Unique: "u", Priority: 1}
				if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: other}}); err != nil {
					t.Fatal(err)
				}
				if got := server.Query(t, "SELECT COUNT(*) FROM "+table); got != "5\n" {
					t.Errorf("rows: got %s, want 5", got)
				}
				if err := s.Commit(t.Context(), []store.Op{{Kind: store.Done, Record: other}}); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct {
		url  string
		addr string
		want string // the table, or a part of the error
	}{
		{"mysql://u:secret@h:3307/db", "h:3307", ""},
		{"mysql://u@h/db?table=Jobs&tls=preferred", "h:3306", "Jobs"},
		{"mysql:///db?socket=/run/mysqld/mysqld.sock", "/run/mysqld/mysqld.sock", ""},
		{"mysql://[::1]/db", "[::1]:3306", ""},
		{"mysql://h/db?colour=red", "", "colour"},
		{"mysql://h/db?table=a%60b", "", "not a name"},
		{"mysql://h/db?tls=perhaps", "", "tls"},
		{"mysql://u:secret@h/", "", "no database"},
		{"mysql:db", "", "not like"},
	} {
		u, err := store.ParseURL(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseURL(u)
		switch {
		case err != nil && (tc.want == "" || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: got error %v, want %q", tc.url, err, tc.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error has the password: %v", tc.url, err)
		case err == nil && (c.Table != tc.want || c.Addr != tc.addr):
			t.Errorf("%s: got table %q at %q, want %q at %q", tc.url, c.Table, c.Addr, tc.want, tc.addr)
		}
	}
}

func TestOutcome(t *testing.T) {
	s := &session{db: &database{fence: sqlstore.NewFence("test")}}
	for _, tc := range []struct {
		err             error
		full, uncertain bool
	}{
		{&engine.MySQLError{Number: errTableFull}, true, false},
		{&engine.MySQLError{Number: errDiskFull}, true, false},
		{&engine.MySQLError{Number: 1205}, false, false},
		{&engine.MySQLError{Number: errShutdown}, false, true},
		{driver.ErrBadConn, false, false},
		{engine.ErrInvalidConn, false, true},
	} {
		got := s.outcome(tc.err)
		var uncertain *store.UncertainError
		if errors.Is(got, store.ErrFull) != tc.full || errors.As(got, &uncertain) != tc.uncertain || !errors.Is(got, tc.err) {
			t.Errorf("%v: got %v, want full %t, uncertain %t", tc.err, got, tc.full, tc.uncertain)
		}
	}
}

// TestAsIs checks that a store opened for reading only creates and changes
// nothing.
func TestAsIs(t *testing.T) {
	server := storetest.StartMySQL(t)
	asIs := config(t, server.URL(server.Addr()), "queue")
	asIs.AsIs = true
	tables := func() string {
		return server.Query(t, "SELECT table_name, column_name, column_type FROM information_schema.columns WHERE table_schema = 'gm' ORDER BY 1, ordinal_position")
	}
	if s, err := Open(t.Context(), asIs); !errors.Is(err, store.ErrAbsent) {
		t.Errorf("without a table: got %v, %v, want %v", s, err, store.ErrAbsent)
	}
	if got := tables(); got != "" {
		t.Errorf("tables were made: %s", got)
	}
	storetest.RunAsIs(t, storetest.Swap{
		Options: []string{
			"--queue-type=MySQL", "--mysql-host=127.0.0.1", fmt.Sprint("--mysql-port=", server.Port()),
			"--mysql-user=gm", "--mysql-password=secret", "--mysql-db=gm", "--mysql-table=queue",
		},
		Open: func(t testing.TB) store.Store { return open(t, server.URL(server.Addr()), "queue") },
		AsIs: func(t testing.TB) store.Store {
			s, err := Open(t.Context(), asIs)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Dump: func(t testing.TB) string {
			dump := tables() + server.Query(t, "SELECT * FROM queue")
			if strings.Contains(dump, "queue_gm") {
				dump += server.Query(t, "SELECT * FROM queue_gm WHERE name > ' ' ORDER BY name")
			}
			return dump
		},
	})
}

// TestForeignRows checks that a row that is no job is left out, with its place,
// and logged, and that all others are read.
func TestForeignRows(t *testing.T) {
	server := storetest.StartMySQL(t)
	server.Query(t, "CREATE TABLE queue (unique_key VARBINARY(64), function_name VARBINARY(255), priority VARCHAR(20), data LONGBLOB, "+
		"when_to_run BIGINT, UNIQUE KEY (unique_key, function_name)) ENGINE=InnoDB;"+
		"INSERT INTO queue VALUES ('a', 'f', '1', 'first', 0), ('b', 'f', 'high', 'no number', 0), ('c', '', '1', 'no function', 0), "+
		"('d', 'f', '9', 'priority', 0), ('e', 'f', '4294967297', 'wraps', 0), ('g', 'f', NULL, 'last', 99999999999)")
	c := config(t, server.URL(server.Addr()), "queue")
	var skipped []string
	c.Skipped = func(what string, err error) { skipped = append(skipped, what) }
	var log strings.Builder
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	got := ""
	err = s.Replay(t.Context(), func(r *store.Record) error {
		got += string(r.Payload) + " "
		return nil
	})
	if want := "first last "; got != want || err != nil || len(skipped) != 4 {
		t.Errorf("got %q, %v, skipped %q, want %q and four skipped", got, err, skipped, want)
	}
	for _, what := range skipped {
		if !strings.Contains(what, "row with seq ") || strings.Count(log.String(), what) != 1 {
			t.Errorf("log: got %q, want %q in it", log.String(), what)
		}
	}
}

// TestFence checks two servers that use a store, each on a node of its own.
func TestFence(t *testing.T) {
	server := storetest.StartMySQL(t)
	nodes := 0
	open := func() store.Store {
		s := open(t, server.URL(server.Addr()), "queue")
		nodes++
		s.db.node = fmt.Sprint(nodes)
		return s
	}
	storetest.SeeFence(t, open, func() {
		server.Query(t, "UPDATE queue_gm SET value = 'other.1 there 0 5' WHERE name = x'0166656e6365'")
	})
}

// TestGalera checks two servers that use a store, each on a node of a real cluster,
// where GET_LOCK excludes nobody.
func TestGalera(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a cluster takes some seconds to start; TestFence has the same on one server")
	}
	nodes := storetest.StartGalera(t)
	opened := 0
	open := func() store.Store {
		node := nodes[opened%2]
		opened++
		return open(t, node.URL(node.Addr()), "queue")
	}
	storetest.SeeFence(t, open, func() {
		nodes[0].Query(t, "UPDATE queue_gm SET value = 'other.1 there 0 5' WHERE name = x'0166656e6365'")
	})
}
