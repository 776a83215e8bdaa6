package postgres

import (
	"crypto/rand"
	"database/sql/driver"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/lib/pq"

	"gm/pkg/store"
	"gm/pkg/store/internal/sqlstore"
	"gm/pkg/store/storetest"
)

func TestLayout(t *testing.T) {
	server := storetest.StartPostgres(t)
	s := open(t, server.URL(server.Addr()), "queue")
	columns := server.Query(t, "SELECT column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns "+
		"WHERE table_name = 'queue' ORDER BY ordinal_position")
	wantColumns := strings.TrimLeft(`
unique_key|character varying|64|YES
function_name|character varying|255|YES
priority|integer||YES
data|bytea||YES
when_to_run|integer||YES
seq|bigint||YES
run_at_ms|bigint||YES
accepted_ms|bigint||YES
attempts|integer||YES
reducer|bytea||YES
gm_unique|bytea||YES
gm_function|bytea||YES
`, "\n")
	if columns != wantColumns {
		t.Errorf("columns: got\n%swant\n%s", columns, wantColumns)
	}

	err := s.Commit(t.Context(), []store.Op{
		{Kind: store.Add, Record: &store.Record{
			Seq: 1001, Function: "resize", Unique: "a", Payload: []byte("x\x00'\\y"), Priority: 2, RunAt: 1_795_000_000_001, Accepted: 7, Attempts: 2,
		}},
		{Kind: store.Add, Record: &store.Record{Seq: 1002, Function: "resize", Reducer: "sum", Priority: 1}},
		{Kind: store.Add, Record: &store.Record{Seq: 1003, Function: "resize", Unique: "-"}},
		{Kind: store.Add, Record: &store.Record{Seq: 1004, Function: "it's", Unique: "\xff\x00"}},
		{Kind: store.Put, Key: "dead/1", Value: []byte("v\x00")},
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := server.Query(t, "SELECT * FROM queue ORDER BY seq")
	wantRows := strings.TrimLeft(`
a|resize|2|\x7800275c79|1795000001|1001|1795000000001|7|2|||
gm-1002|resize|1|\x|0|1002|0|0|0|\x73756d|\x|
gm-1003|resize|0|\x|0|1003|0|0|0||\x2d|
gm:06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db31|gm:HASH|0|\x|0|1004|0|0|0||\xff00|\x69742773
`, "\n")
	if got := hashes(rows); got != hashes(wantRows) {
		t.Errorf("rows: got\n%swant\n%s", got, hashes(wantRows))
	}
	if got := server.Query(t, "SELECT * FROM queue_gm"); got != "dead/1|\\x7600\n" {
		t.Errorf("extras: got %q", got)
	}
	if got := server.Query(t, "EXPLAIN DELETE FROM queue WHERE unique_key = 'a' AND function_name = 'resize'"); !strings.Contains(got, "queue") {
		t.Errorf("gearmand's statement: got %q", got)
	}
}

// hashes replaces the text after gm: with a word.
func hashes(rows string) string {
	parts := strings.Split(rows, "gm:")
	for i := range parts[1:] {
		_, rest, _ := strings.Cut(parts[i+1], "|")
		parts[i+1] = "HASH|" + rest
	}
	return strings.Join(parts, "gm:")
}

// TestForeignRows checks that any values in gearmand's columns are read or set
// aside, and left unchanged.
func TestForeignRows(t *testing.T) {
	server := storetest.StartPostgres(t)
	server.Query(t, `CREATE TABLE queue (unique_key VARCHAR(64), function_name VARCHAR(255), priority INTEGER, data BYTEA,
		when_to_run INTEGER, UNIQUE (unique_key, function_name));
		INSERT INTO queue VALUES ('', 'f', 1, 'none', 0), ('-', 'f', 1, 'dash', 0), ('n', 'f', NULL, NULL, NULL),
		(NULL, 'f', 0, 'no key', 5), ('x', '', 1, 'no function', 0), ('y', 'f', 9, 'priority', 0)`)
	c := config(t, server.URL(server.Addr()), "QUEUE")
	var skipped []string
	c.Skipped = func(what string, err error) { skipped = append(skipped, err.Error()) }
	var log strings.Builder
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	got := ""
	last := uint64(0)
	err = s.Replay(t.Context(), func(r *store.Record) error {
		if r.Seq <= last {
			t.Errorf("seq %d after %d", r.Seq, last)
		}
		last = r.Seq
		got += strings.Join([]string{r.Unique, string(r.Payload), string('0' + rune(r.Priority))}, ":") + " "
		return nil
	})
	if want := ":none:1 -:dash:1 n::1 :no key:0 "; got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if want := "no function; priority 9"; strings.Join(skipped, "; ") != want {
		t.Errorf("skipped: got %q, want %q", skipped, want)
	}
	for _, want := range []string{"row with seq", "no function", "priority 9"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log: got %q, want %q in it", log.String(), want)
		}
	}
	if got := server.Query(t, "SELECT count(*) FROM queue"); got != "6\n" {
		t.Errorf("rows: got %s, want 6", got)
	}
	var faults []string
	if err := s.Check(t.Context(), func(what string) { faults = append(faults, what) }); err != nil || len(faults) != 2 {
		t.Errorf("check: got %q, %v, want two faults", faults, err)
	}
}

// TestDamagedRows has the files of PostgreSQL lose the large payloads: those
// rows are left out, each with its place, and all others are read.
func TestDamagedRows(t *testing.T) {
	server := storetest.StartPostgres(t)
	c := config(t, server.URL(server.Addr()), "queue")
	var skipped []string
	c.Skipped = func(what string, err error) { skipped = append(skipped, what) }
	c.Logger = slog.New(slog.DiscardHandler)
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	noise := make([]byte, 20_000)
	_, _ = rand.Read(noise) // never fails
	var batch []store.Op
	for i := range 30 {
		r := &store.Record{Seq: uint64(i + 1), Function: "f", Payload: []byte("small")}
		if i%10 == 5 {
			r.Payload = noise
		}
		batch = append(batch, store.Op{Kind: store.Add, Record: r})
	}
	if err := s.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	server.Query(t, "CHECKPOINT")
	file := strings.TrimSpace(server.Query(t, "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'queue'"))
	server.Kill()
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	server.Start(t)
	_ = s.Replay(t.Context(), func(*store.Record) error { return nil }) // finds that the connection is gone
	for range 2 {
		skipped = nil
		n := 0
		err = s.Replay(t.Context(), func(*store.Record) error { n++; return nil })
		if want := []string{`row with seq 6 of "queue"`, `row with seq 16 of "queue"`, `row with seq 26 of "queue"`}; n != 27 || err != nil || !slices.Equal(skipped, want) {
			t.Errorf("replay: got %d jobs, %v, skipped %q, want 27 and %q", n, err, skipped, want)
		}
	}
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct {
		url  string
		want string // the table, or a part of the error
	}{
		{"postgres://u:secret@h:5433/db", ""},
		{"postgres://u@h/db?table=Jobs&sslmode=require&connect_timeout=2", "Jobs"},
		{"postgres://h/db?table=app.queue", "app.queue"},
		{"postgres://h/db?colour=red", "colour"},
		{"postgres://h/db?table=a%22b", "not a name"},
		{"postgres://h/db?table=a.b.c", "not a name"},
		{"postgres:db", "not like"},
		{"postgres://h/db?sslmode=perhaps", "sslmode"},
	} {
		u, err := store.ParseURL(tc.url)
		var c Config
		if err == nil {
			c, err = ParseURL(u)
		}
		switch {
		case err != nil && (tc.want == "" || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: got error %v, want %q", tc.url, err, tc.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error has the password: %v", tc.url, err)
		case err == nil && c.Table != tc.want:
			t.Errorf("%s: got table %q, want %q", tc.url, c.Table, tc.want)
		}
	}
}

func TestOutcome(t *testing.T) {
	s := &session{db: &database{fence: sqlstore.NewFence("test")}}
	lost := errors.New("connection reset")
	for _, tc := range []struct {
		err             error
		full, uncertain bool
	}{
		{&pq.Error{Severity: "ERROR", Code: "53100"}, true, false},
		{&pq.Error{Severity: "FEHLER", Code: "22001"}, false, false},
		{driver.ErrBadConn, false, true},
		{lost, false, true},
	} {
		got := s.outcome(tc.err)
		var uncertain *store.UncertainError
		if errors.Is(got, store.ErrFull) != tc.full || errors.As(got, &uncertain) != tc.uncertain || !errors.Is(got, tc.err) {
			t.Errorf("%v: got %v, want full %t, uncertain %t", tc.err, got, tc.full, tc.uncertain)
		}
	}
	if err := s.outcome(nil); err != nil {
		t.Errorf("nil: got %v", err)
	}
}

// TestAsIs checks that a store opened for reading only creates and changes
// nothing.
func TestAsIs(t *testing.T) {
	server := storetest.StartPostgres(t)
	asIs := config(t, server.URL(server.Addr()), "queue")
	asIs.AsIs = true
	tables := func() string {
		return server.Query(t, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, ordinal_position")
	}
	if s, err := Open(t.Context(), asIs); !errors.Is(err, store.ErrAbsent) {
		t.Errorf("without a table: got %v, %v, want %v", s, err, store.ErrAbsent)
	}
	if got := tables(); got != "" {
		t.Errorf("tables were made: %s", got)
	}
	storetest.RunAsIs(t, storetest.Swap{
		Options: []string{"--queue-type=Postgres", "--libpq-conninfo=" + server.Conninfo(), "--libpq-table=queue"},
		Open:    func(t testing.TB) store.Store { return open(t, server.URL(server.Addr()), "queue") },
		AsIs: func(t testing.TB) store.Store {
			s, err := Open(t.Context(), asIs)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Dump: func(t testing.TB) string {
			dump := tables() + server.Query(t, "SELECT ctid, * FROM queue ORDER BY ctid")
			if strings.Contains(dump, "queue_gm") {
				dump += server.Query(t, `SELECT * FROM queue_gm WHERE key > ' ' ORDER BY key`)
			}
			return dump
		},
	})
}

// TestFence has two servers hold a store behind a pooler that does not keep
// sessions apart.
func TestFence(t *testing.T) {
	server := storetest.StartPostgres(t)
	open := func() store.Store {
		s := open(t, server.URL(server.Addr()), "queue")
		s.db.pooled = true
		return s
	}
	storetest.SeeFence(t, open, func() {
		server.Query(t, `UPDATE queue_gm SET value = 'other.1 there 0 5' WHERE key = E'\x01fence'`)
	})
}
