package outbox

import (
	"strings"
	"testing"
)

// open returns an outbox of a database.
func (d *database) open(t testing.TB, c Config) *DB {
	t.Helper()
	return d.openAt(t, d.addr, c)
}

// openAt is open for a database that is reached at another address.
func (d *database) openAt(t testing.TB, addr string, c Config) *DB {
	t.Helper()
	db, err := Open(d.url(addr), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// install returns a new outbox.
func (d *database) install(t testing.TB, c Config) *DB {
	t.Helper()
	db := d.open(t, c)
	if err := db.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// rows returns the function, the workload, the unique and the priority of all rows.
func (d *database) rows(t testing.TB, table string) string {
	t.Helper()
	text := "convert_from(workload, 'UTF8')"
	if d.dialect == MySQL {
		text = "CONVERT(workload USING utf8mb4)"
	}
	return d.query(t, "SELECT "+d.dialect.identifier("function")+", "+text+", COALESCE(unique_key, '-'), priority FROM "+table+" ORDER BY id")
}

func TestInstallTwice(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		token, err := db.readToken(t.Context())
		if err != nil || len(token) != 16 {
			t.Fatalf("token %q, %v", token, err)
		}
		d.query(t, "SELECT gman_enqueue('resize', 'a')")
		again := d.install(t, Config{})
		if other, err := again.readToken(t.Context()); other != token || err != nil {
			t.Errorf("after the second installation the token is %q, %v, want %q", other, err, token)
		}
		if got, want := d.rows(t, DefaultTable), "resize|a|-|0\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// TestScript runs the printed schema with the client program of the database, twice.
func TestScript(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		text, err := Schema(d.dialect, "jobs")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			d.query(t, text)
		}
		d.query(t, "SELECT jobs_enqueue('resize', 'é')")
		if got := d.query(t, "SELECT COUNT(*) FROM jobs"); got != "1\n" {
			t.Errorf("got %q rows, want 1", got)
		}
	})
}

func TestEnqueue(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		d.install(t, Config{})
		ids := d.query(t, "SELECT gman_enqueue('f', 'Grüße ''1''')")
		want := "f|Grüße '1'|-|0\nf|b|u|1\nf|c|-|-1\n"
		if d.dialect == Postgres {
			ids += d.query(t, "SELECT gman_enqueue('f', 'b', 'u', 1)")
			ids += d.query(t, "SELECT gman_enqueue('f', '\\x63'::bytea, priority => -1, run_at => '2040-01-02 03:04:05.678Z')")
		} else {
			ids += d.query(t, "SELECT gman_enqueue_with('f', 'b', 'u', 1, NULL)")
			ids += d.query(t, "SELECT gman_enqueue_with('f', x'63', NULL, -1, '2040-01-02 03:04:05.678')")
		}
		if got := d.rows(t, DefaultTable); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if ids != "1\n2\n3\n" {
			t.Errorf("got the ids %q", ids)
		}
		if got := d.query(t, "SELECT "+dialects[d.dialect].runAt+" FROM "+DefaultTable+" WHERE id = 3"); got != "2209086245678\n" {
			t.Errorf("got the time %q, want 2209086245678", got)
		}
	})
}

// TestHostileNames installs outboxes and triggers with names that must be quoted.
func TestHostileNames(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		for _, name := range []string{"select", "a b", `a"b`, "a`b", "a'b", "a;b", "$gm$", "a\\b", "Größe", "--", "%s", "a*/b"} {
			db := d.install(t, Config{Table: name})
			source := name + " t"
			table, column := d.dialect.identifier(source), d.dialect.identifier(name)
			d.query(t, "CREATE TABLE "+table+" ("+column+" VARCHAR(20))")
			text, err := Trigger{
				Table: source, Events: []string{"insert"}, Function: name, Columns: []string{name}, JSON: true, Outbox: name,
			}.SQL(d.dialect)
			if err != nil {
				t.Fatal(err)
			}
			d.query(t, text)
			d.query(t, "INSERT INTO "+table+" VALUES ('x')")
			tx, err := db.pool.Begin()
			if err != nil {
				t.Fatal(err)
			}
			rows, err := db.lockRows(t.Context(), tx, 9, []string{"other " + name})
			if err != nil || len(rows) != 1 || rows[0].function != name {
				t.Errorf("%q: got %v, %v, want its row", name, rows, err)
			}
			_ = tx.Rollback()
		}
	})
}

// TestOtherSchema has an outbox and a table in a schema that sessions do not search.
func TestOtherSchema(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		schema := d.name // in MySQL, the user has rights in one database
		if d.dialect == Postgres {
			schema = "app"
			d.query(t, "CREATE SCHEMA app")
		}
		db := d.install(t, Config{Table: schema + ".jobs"})
		d.query(t, "CREATE TABLE "+schema+".files (path VARCHAR(40))")
		d.addTrigger(t, Trigger{
			Table: schema + ".files", Events: []string{"insert"}, Function: "scan", Columns: []string{"path"}, Outbox: schema + ".jobs",
		})
		d.query(t, "INSERT INTO "+schema+".files VALUES ('a')")
		d.query(t, "SELECT "+schema+".jobs_enqueue('f', 'b')")
		if got, want := d.rows(t, schema+".jobs"), "scan|a|-|0\nf|b|-|0\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if token, err := db.readToken(t.Context()); err != nil || token == "" {
			t.Errorf("token %q, %v", token, err)
		}
	})
}

func TestInvalidNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		dialect Dialect
		table   string
		want    string
	}{
		{Postgres, ".t", "the name is empty"},
		{Postgres, "s.", "the name is empty"},
		{Postgres, "a\x00b", "NUL"},
		{MySQL, "a\xff", "UTF-8"},
		{MySQL, strings.Repeat("é", 64), "77 characters exceed the limit of 64"},
		{Postgres, strings.Repeat("a", 63), "76 bytes exceed the limit of 63"},
		{Dialect(7), "t", "dialect(7)"},
	} {
		if _, err := Schema(tc.dialect, tc.table); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, %q: got %v, want %q", tc.dialect, tc.table, err, tc.want)
		}
	}
	for url, want := range map[string]string{
		"redis://h/0":                     "not like postgres://",
		"postgres://u:secret@h/d?color=1": "unknown option",
		"mysql://u:secret@h":              "no database",
		"mysql://u:secret@h/d?table=.t":   "the name is empty",
	} {
		if _, err := Open(url, Config{}); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
}
