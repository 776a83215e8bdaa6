package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestSwap(t *testing.T) {
	storetest.RunSwap(t, func(t *testing.T) storetest.Swap {
		file := filepath.Join(t.TempDir(), "queue.db")
		return storetest.Swap{
			Options: []string{"--queue-type=libsqlite3", "--libsqlite3-db=" + file},
			Open:    func(t testing.TB) store.Store { return open(t, file) },
		}
	})
}

// TestSwapAfterKill checks that gearmand finds the jobs that are only in
// FILE-wal.
func TestSwapAfterKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, file)
	commit(t, s, add(1, "f", "u1", "one"), add(2, "f", "", "two"))
	commit(t, s, storeDone(1), add(3, "f", "u3", ""))
	crash(t, s)
	if _, err := os.Stat(file + "-wal"); err != nil {
		t.Fatal(err)
	}
	g := storetest.StartGearmand(t, "--queue-type=libsqlite3", "--libsqlite3-db="+file)
	got := g.Drain(t, "f")
	g.Stop()
	want := []storetest.GearmandJob{{Function: "f", Unique: "gm-2", Payload: "two"}, {Function: "f", Unique: "u3", Payload: ""}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s = open(t, file)
	defer s.Close()
	if jobs := jobsIn(t, s); len(jobs) > 0 {
		t.Errorf("after gearmand has drained it: got %v, want none", jobs)
	}
}

// sql runs statements on the file and returns the rows of the last.
func sql(t *testing.T, file string, statements ...string) (rows []string) {
	t.Helper()
	c, err := dial(file, true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for _, s := range statements {
		rows = nil
		err := c.queryEach(s, func(stmt *sqlite3.Stmt) error {
			var row []string
			for i := range stmt.ColumnCount() {
				row = append(row, stmt.ColumnText(i))
			}
			rows = append(rows, strings.Join(row, "|"))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// gearmandTable is the statement with which gearmand makes its table.
const gearmandTable = "CREATE TABLE gearman_queue ( unique_key TEXT, function_name TEXT, priority INTEGER, data BLOB, when_to_run INTEGER, PRIMARY KEY (unique_key, function_name))"

func add(seq uint64, function, unique, payload string) store.Op {
	return store.Op{Kind: store.Add, Record: &store.Record{
		Seq: seq, Function: function, Unique: unique, Payload: []byte(payload), Priority: 1, Accepted: 1_795_000_000_123,
	}}
}

func storeDone(seq uint64) store.Op {
	return store.Op{Kind: store.Done, Record: &store.Record{Seq: seq}}
}

func commit(t *testing.T, s *Store, batch ...store.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func jobsIn(t *testing.T, s *Store) (jobs []string) {
	t.Helper()
	err := s.Replay(t.Context(), func(j *store.Record) error {
		jobs = append(jobs, fmt.Sprintf("%s %q %q p%d at %d tried %d", j.Function, j.Unique, j.Payload, j.Priority, j.RunAt, j.Attempts))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

// TestLayout compares the content of the file byte by byte.
func TestLayout(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, file)
	delayed := add(7_000_000_000_000_003, "resize", "u3", "later")
	delayed.Record.RunAt, delayed.Record.Priority, delayed.Record.Reducer = 1_795_000_000_001, 0, "sum"
	commit(t, s,
		add(7_000_000_000_000_001, "resize", "u1", "nul\x00'\""),
		add(7_000_000_000_000_002, "resize", "", ""),
		delayed,
		add(7_000_000_000_000_004, "resize", "-", "dash"),
		add(7_000_000_000_000_005, "resize", "gm-1", "alike"),
		add(7_000_000_000_000_006, "resize", strings.Repeat("x", 64), "long"),
		store.Op{Kind: store.Update, Record: &store.Record{Seq: 7_000_000_000_000_001, Attempts: 2, RunAt: 1_795_000_000_999}},
		store.Op{Kind: store.Put, Key: "dead/1", Value: []byte("value")},
	)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	compare(t, "jobs", sql(t, file, `SELECT rowid, quote(unique_key), quote(function_name), priority, quote(data), when_to_run,
		seq, run_at_ms, accepted_ms, attempts, quote(reducer), quote(gm_unique), printf('%016x', gm_crc) FROM gearman_queue ORDER BY rowid`), []string{
		`7000000000000001|'u1'|'resize'|1|X'6E756C002722'|1795000001|7000000000000001|1795000000999|1795000000123|2|NULL|NULL|a17bbe547973db87`,
		`7000000000000002|'gm-7000000000000002'|'resize'|1|X''|0|7000000000000002|0|1795000000123|0|NULL|X''|31fad78885848443`,
		`7000000000000003|'u3'|'resize'|0|X'6C61746572'|1795000001|7000000000000003|1795000000001|1795000000123|0|X'73756D'|NULL|a433a1a9d4e1790f`,
		`7000000000000004|'gm-7000000000000004'|'resize'|1|X'64617368'|0|7000000000000004|0|1795000000123|0|NULL|X'2D'|576c7c7216109074`,
		`7000000000000005|'gm-7000000000000005'|'resize'|1|X'616C696B65'|0|7000000000000005|0|1795000000123|0|NULL|X'676D2D31'|f80fc421ac5f52fa`,
		`7000000000000006|'gm-7000000000000006'|'resize'|1|X'6C6F6E67'|0|7000000000000006|0|1795000000123|0|NULL|X'` + strings.Repeat("78", 64) + `'|73254e9267636399`,
	})
	compare(t, "extras", sql(t, file, "SELECT key, quote(value), crc FROM gearman_queue_gm ORDER BY key"), []string{
		`dead/1|X'76616C7565'|1724714694`,
		`gm:last-number|X'01806E8176DE1800'|1676746034`,
	})
	compare(t, "schema", sql(t, file, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"), []string{
		`CREATE TABLE "gearman_queue" (unique_key TEXT, function_name TEXT, priority INTEGER, data BLOB, when_to_run INTEGER, ` +
			`seq INTEGER, run_at_ms INTEGER, accepted_ms INTEGER, attempts INTEGER, reducer BLOB, gm_unique BLOB, gm_crc INTEGER, ` +
			`PRIMARY KEY (unique_key, function_name))`,
		`CREATE TABLE "gearman_queue_gm" (key TEXT PRIMARY KEY, value BLOB, crc INTEGER)`,
	})
}

// TestGearmandRows reads rows as gearmand writes them, and some that only
// people write.
func TestGearmandRows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	sql(t, file, gearmandTable,
		`INSERT OR REPLACE INTO gearman_queue (priority, unique_key, function_name, data, when_to_run) VALUES
			(1, 'z', 'f', x'7a', 0), (0, '', 'f', x'00', 0), (2, '-', 'f', NULL, 0), (1, 'e', 'f', x'65', 1795000001)`)
	want := []string{
		`f "z" "z" p1 at 0 tried 0`, `f "" "\x00" p0 at 0 tried 0`, `f "-" "" p2 at 0 tried 0`, `f "e" "e" p1 at 1795000001000 tried 0`,
	}
	for range 2 {
		s := open(t, file)
		compare(t, "gearmand's rows", jobsIn(t, s), want)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// gearmand, which does not know the new columns, still works on it.
	sql(t, file, `INSERT OR REPLACE INTO gearman_queue (priority, unique_key, function_name, data, when_to_run) VALUES (1, 'n', 'f', x'6e', 0)`,
		`INSERT OR REPLACE INTO gearman_queue (priority, unique_key, function_name, data, when_to_run) VALUES (1, 'z', 'f', x'7a7a', 0)`,
		`UPDATE gearman_queue SET priority = 7, when_to_run = 1795000009 WHERE unique_key = 'e'`)
	s := open(t, file)
	defer s.Close()
	compare(t, "gearmand's rows after gm's", jobsIn(t, s), []string{
		want[1], want[2], `f "e" "e" p1 at 1795000009000 tried 0`, `f "n" "n" p1 at 0 tried 0`, `f "z" "zz" p1 at 0 tried 0`,
	})
}

// TestForeignKey checks that a job replaces the row of a stranger with its key.
func TestForeignKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, file)
	commit(t, s, add(5, "f", "u", "old"), add(6, "f", "v", "v"))
	commit(t, s, add(7, "f", "u", "new"))
	commit(t, s, storeDone(5))
	compare(t, "jobs", jobsIn(t, s), []string{`f "v" "v" p1 at 0 tried 0`, `f "u" "new" p1 at 0 tried 0`})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRenumbered reads a file whose rows somebody has numbered anew, as the
// loading of a dump does.
func TestRenumbered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	s := open(t, file)
	var want []string
	for i := range uint64(2500) {
		commit(t, s, add(9_000_000+i, "f", fmt.Sprint("u", i), fmt.Sprint(i)))
		want = append(want, fmt.Sprintf(`f "u%d" "%d" p1 at 0 tried 0`, i, i))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sql(t, file, "ALTER TABLE gearman_queue RENAME TO old", jobsDDL("gearman_queue"), "INSERT INTO gearman_queue SELECT * FROM old", "DROP TABLE old",
		"INSERT INTO gearman_queue (priority, unique_key, function_name, data, when_to_run) VALUES (1, 'n', 'f', x'6e', 0)")
	want = append(want, `f "n" "n" p1 at 0 tried 0`)
	s = open(t, file)
	compare(t, "jobs", jobsIn(t, s), want)
	commit(t, s, storeDone(9_000_000))
	if _, err := s.ReadPayload(t.Context(), &store.Record{Seq: 9_000_000}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("payload of a job that is done: got %v, want %v", err, store.ErrNotFound)
	}
	compare(t, "jobs", jobsIn(t, s), want[1:])
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	verifyFile(t, file)
}

// TestOtherTable keeps two queues in one file.
func TestOtherTable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	for i, table := range []string{"a", `it's "b"`} {
		s, err := Open(t.Context(), Config{File: file, Table: table})
		if err != nil {
			t.Fatal(err)
		}
		if got := jobsIn(t, s); len(got) > 0 {
			t.Errorf("table %s: got %v, want nothing", table, got)
		}
		commit(t, s, add(uint64(i)+1, table, "u", table))
		if got := jobsIn(t, s); len(got) != 1 {
			t.Errorf("table %s: got %v, want one job", table, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
