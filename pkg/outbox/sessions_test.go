package outbox

import (
	"log/slog"
	"strings"
	"testing"

	"gm/pkg/server"
	"gm/pkg/store/storetest"
)

// TestSearchPath has sessions that do not search the schema of the outbox, or find a
// temporary table of the same name first.
func TestSearchPath(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		if d.dialect != Postgres {
			return // MySQL has no search path
		}
		d.install(t, Config{})
		d.query(t, "CREATE TABLE files (path text); CREATE SCHEMA other")
		d.addTrigger(t, Trigger{Table: "files", Events: []string{"insert"}, Function: "scan", Columns: []string{"path"}})
		for _, session := range []string{
			"SET search_path = ''",
			"SET search_path = other",
			"CREATE TEMP TABLE gearman_outbox (LIKE public.gearman_outbox INCLUDING ALL)",
		} {
			d.query(t, session+"; INSERT INTO public.files VALUES ('a'); SELECT public.gman_enqueue('f', 'b'); SELECT public.gman_enqueue('f', 'c'::bytea)")
			if got, want := d.workloads(t), "a\nb\nc"; got != want {
				t.Errorf("%s: got the jobs %q, want %q", session, got, want)
			}
		}
	})
}

// TestFormatsOfSessions has sessions that show values in other forms. The workloads stay
// the same.
func TestFormatsOfSessions(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		if d.dialect != Postgres {
			return // MySQL has no such settings
		}
		d.install(t, Config{})
		d.query(t, "CREATE TABLE a (raw bytea, day date, at timestamp, price float8, wait interval)")
		d.addTrigger(t, Trigger{Table: "a", Events: []string{"insert"}, Function: "f", JSON: true})
		for _, column := range []string{"day", "at", "price", "wait"} {
			d.addTrigger(t, Trigger{Name: "a_" + column, Table: "a", Events: []string{"insert"}, Function: "f", Columns: []string{column}})
		}
		insert := `INSERT INTO a VALUES ('\x00ff5c', '2040-01-02', '2040-01-02 03:04:05', 0.1::float8 + 0.2::float8, '1 day 02:03:04')`
		d.query(t, insert)
		want := d.workloads(t)
		if !strings.Contains(want, `"\\x00ff5c"`) || !strings.Contains(want, "2040-01-02T03:04:05") || !strings.Contains(want, "0.30000000000000004") {
			t.Errorf("got the jobs %s", want)
		}
		d.query(t, "SET bytea_output = escape; SET datestyle = 'SQL, DMY'; SET intervalstyle = iso_8601; SET extra_float_digits = -5; "+insert)
		if got := d.workloads(t); got != want {
			t.Errorf("in a session with other forms, got the jobs\n%s\nwant\n%s", got, want)
		}
	})
}

// TestServerOfOtherSettings has a MariaDB server with unusual settings.
func TestServerOfOtherSettings(t *testing.T) {
	t.Parallel()
	m := storetest.StartMySQL(t, "--log-bin", "--server-id=1", "--binlog-format=STATEMENT", "--log-bin-trust-function-creators=1",
		"--autocommit=0", "--sql-mode=", "--transaction-isolation=SERIALIZABLE", "--character-set-server=latin1", "--collation-server=latin1_swedish_ci")
	d := &database{dialect: MySQL, addr: m.Addr(), url: m.URL, query: m.Query}
	db := d.install(t, Config{})
	d.query(t, "SELECT gman_enqueue('f', 'a'), gman_enqueue('', 'b'); COMMIT")
	s := startServer(t, "", server.Config{})
	r := newRelay(t, db, s.addr)
	log := &lockedBuffer{}
	r.MaxAttempts, r.Logger = 1, slog.New(slog.NewTextHandler(log, nil))
	stop := run(t, r)
	waitFor(t, "sent and dead row", r, func() bool { return r.Stats().Sent == 1 && r.Stats().Dead == 1 })
	stop()
	if got := log.String(); strings.Count(got, "binlog_format=STATEMENT") != 1 || strings.Contains(got, "away=") {
		t.Errorf("got the log\n%s\nwant one line about the format", got)
	}
	if n, err := db.RetryDead(t.Context()); n != 1 || err != nil {
		t.Errorf("RetryDead: %d, %v, want 1", n, err)
	}
	if got := d.query(t, "SELECT COUNT(*) FROM gearman_outbox WHERE dead IS NULL"); got != "1\n" {
		t.Errorf("another session finds %q retried rows, want 1", got)
	}
}

// TestScriptInLaxSession runs the printed statements in a session of MySQL that cuts
// values, and that has other characters.
func TestScriptInLaxSession(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		if d.dialect != MySQL {
			return // PostgreSQL has no such settings
		}
		for _, session := range []string{
			"SET sql_mode = '', NAMES latin1;\n",
			"SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,IGNORE_SPACE', NAMES latin1;\n",
			"SET sql_mode = 'ORACLE', NAMES latin1;\n",
		} {
			text, err := Schema(MySQL, "größe")
			if err != nil {
				t.Fatal(err)
			}
			d.query(t, "DROP TABLE IF EXISTS `größe`, `größe_token`, `tür`")
			d.query(t, "CREATE TABLE `tür` (`straße` VARCHAR(40) CHARACTER SET utf8mb4)")
			trigger, err := Trigger{
				Table: "tür", Events: []string{"insert"}, Function: "öffne", Columns: []string{"straße"}, JSON: true, Outbox: "größe",
			}.SQL(MySQL)
			if err != nil {
				t.Fatal(err)
			}
			after := "SELECT @@sql_mode LIKE '%STRICT%', @@character_set_client, @@character_set_results, @@collation_connection"
			if got, want := d.query(t, session+text+trigger+after), "0|latin1|latin1|latin1_swedish_ci\n"; got != want {
				t.Errorf("%safter the statements, the session has %q, want %q", session, got, want)
			}
			db := d.open(t, Config{Table: "größe"})
			var id int
			err = db.pool.QueryRow("SELECT `größe_enqueue_with`('f', 'x', REPEAT('u', 300), 0, NULL)").Scan(&id)
			if err == nil || !strings.Contains(err.Error(), "too long") {
				t.Errorf("%sa long unique was cut: %v", session, err)
			}
			d.query(t, "INSERT INTO `tür` VALUES ('日本 € Ü')")
			got := d.rows(t, "`größe`")
			function, rest, _ := strings.Cut(got, "|")
			workload, _, _ := strings.Cut(rest, "|")
			want := `{"table":"tür","event":"insert","old":null,"new":{"straße":"日本 € Ü"}}`
			if diff := compareJSON(t, workload, want); function != "öffne" || diff != "" {
				t.Errorf("%sgot the row %s, %s", session, got, diff)
			}
		}
	})
}

// TestInstallWithSearchPath installs an outbox and a trigger in sessions with unusual
// search paths.
func TestInstallWithSearchPath(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		if d.dialect != Postgres {
			return // MySQL has no search path
		}
		schema, err := Schema(Postgres, "")
		if err != nil {
			t.Fatal(err)
		}
		trigger, err := Trigger{Table: "files", Events: []string{"insert"}, Function: "scan", Columns: []string{"path"}}.SQL(Postgres)
		if err != nil {
			t.Fatal(err)
		}
		d.query(t, `CREATE SCHEMA "a ""b"; CREATE SCHEMA gm`)
		for path, found := range map[string]string{
			`$user, public`:          "gm",
			`"a ""b", public`:        `"a ""b"`,
			`absent, public, absent`: "public",
			`pg_temp, public`:        "public",
		} {
			text := schema + "CREATE TABLE files (path text);\n" + trigger
			if path == `pg_temp, public` {
				text = "CREATE TEMP TABLE other (); SET search_path = public, pg_temp;\n" + text
			}
			d.query(t, "DROP TABLE IF EXISTS "+found+".files, "+found+".gearman_outbox, "+found+".gearman_outbox_token; "+
				"SELECT set_config('search_path', "+Postgres.literal(path)+", false);\n"+text)
			d.query(t, "SET search_path = ''; INSERT INTO "+found+".files VALUES ('a'); SELECT "+found+".gman_enqueue('f', 'b')")
			if got, want := d.query(t, "SELECT convert_from(workload, 'UTF8') FROM "+found+".gearman_outbox ORDER BY id"), "a\nb\n"; got != want {
				t.Errorf("search path %s: got the jobs %q, want %q", path, got, want)
			}
		}
	})
}

// TestIdleTransactionEnds reads the limit after which the database ends the transaction of
// a relay that is gone, and unlocks its rows.
func TestIdleTransactionEnds(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		tx, err := db.pool.Begin()
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback() //nolint:errcheck // nothing has changed
		if err := db.deleteAll(t.Context(), tx, nil); err != nil {
			t.Fatal(err)
		}
		question, want := "SELECT @@wait_timeout", "150"
		if d.dialect == Postgres {
			question, want = "SHOW idle_in_transaction_session_timeout", "150s"
		}
		var got string
		if err := tx.QueryRow(question).Scan(&got); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	})
}
