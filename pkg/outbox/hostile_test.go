package outbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// TestHostileRows has rows that a server cannot take among others. Each of them is sent
// or dies with an error, and the others are sent.
func TestHostileRows(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{MaxPayload: 1 << 20})
		bytes, nul, longest := "convert_to(repeat('x', %d), 'UTF8')", "'a'", 70_000
		far := []string{"'infinity'", "'294000-01-01'", "'-infinity'", "'0001-01-01 BC'"}
		if d.dialect == MySQL {
			bytes, nul, longest = "REPEAT('x', %d)", "CONCAT('a', CHAR(0), 'b')", 255
			far = []string{"'9999-12-31 23:59:59'", "'1000-01-01'"}
		}
		insert := func(function, workload, unique, priority, runAt string) {
			t.Helper()
			d.query(t, "INSERT INTO gearman_outbox ("+d.dialect.identifier("function")+", workload, unique_key, priority, run_at) VALUES ("+
				strings.Join([]string{function, workload, unique, priority, runAt}, ", ")+")")
		}
		rows := 0
		add := func(function, workload, unique, priority, runAt string) {
			t.Helper()
			insert("'good'", "'x'", "NULL", "0", "NULL")
			insert(function, workload, unique, priority, runAt)
			rows++
		}
		add("'f'", fmt.Sprintf(bytes, 2<<20), "NULL", "0", "NULL")
		add("'with space'", "'x'", "NULL", "0", "NULL")
		add("'line\nbreak'", "'x'", "NULL", "0", "NULL")
		add(nul, "'x'", "NULL", "0", "NULL")
		add(fmt.Sprintf("repeat('n', %d)", longest), "'x'", "NULL", "0", "NULL")
		add("'f'", "'x'", fmt.Sprintf("repeat('u', %d)", longest), "0", "NULL")
		add("'f'", "'x'", "'u\nv'", "0", "NULL")
		add("'f'", "'x'", "''", "0", "NULL")
		add("'f'", "'x'", "NULL", "32767", "NULL")
		add("'f'", "'x'", "NULL", "-32768", "NULL")
		add("'f'", "'x'", "NULL", "1", "'2040-01-01'")
		for _, at := range far {
			add("'f'", "'x'", "NULL", "0", at)
		}
		r := newRelay(t, db, s.addr)
		r.MaxAttempts = 2
		worker := startCollector(t, s.addr, "good")
		stop := run(t, r)
		worker.wait(t, rows)
		waitEmpty(t, db, r)
		stop()
		dead, err := db.Dead(t.Context(), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range dead {
			if row.LastError == "" || row.Function == "good" {
				t.Errorf("got the dead row %+v", row)
			}
		}
		if got := r.Stats(); got.Sent+got.Dead != uint64(2*rows) || got.Away != "" {
			t.Errorf("got %+v, want all of %d rows sent or dead", got, 2*rows)
		}
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		jobs, err := admin.Jobs(t.Context(), "f", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range jobs {
			if job.State == gearman.StateDelayed && job.RunAtMS < 1<<46 { // of the year 4199
				t.Errorf("got %+v, want a job that is far away or due", job)
			}
		}
		for _, want := range []string{"DATA_TOO_LARGE", "priority 32767: not 1", "priority -32768: not 1", "INVALID_FUNCTION_NAME", "of normal priority"} {
			if !slices.ContainsFunc(dead, func(row Row) bool { return strings.Contains(row.LastError, want) }) {
				t.Errorf("no dead row has the error %q", want)
			}
		}
		if worker.wait(t, 0); len(worker.jobs) != rows {
			t.Errorf("the worker got %d jobs, want %d", len(worker.jobs), rows)
		}
	})
}

// TestDeletionRefused has a database that refuses to delete the rows for a while, as a
// read-only or full one does. Meanwhile the relay submits nothing.
func TestDeletionRefused(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		insert(t, db, "f", "a", 1, 3)
		if d.dialect == Postgres {
			d.query(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room'; END $$;
				CREATE TRIGGER refuse BEFORE DELETE ON gearman_outbox FOR EACH ROW EXECUTE PROCEDURE refuse()`)
		} else {
			d.query(t, "CREATE TRIGGER refuse BEFORE DELETE ON gearman_outbox FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no room'")
		}
		r := newRelay(t, db, s.addr)
		run(t, r)
		waitFor(t, "failure", r, func() bool { return r.Stats().Away == awayDatabase })
		if got := r.Stats().Err; !strings.Contains(got, "no room") {
			t.Errorf("got the error %q, want no room", got)
		}
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		if jobs, err := admin.Jobs(t.Context(), "f", "", 0); err != nil || len(jobs) != 0 {
			t.Errorf("got %d jobs, %v, want none", len(jobs), err)
		}
		if d.dialect == Postgres {
			d.query(t, "DROP TRIGGER refuse ON gearman_outbox")
		} else {
			d.query(t, "DROP TRIGGER refuse")
		}
		waitEmpty(t, db, r)
		waitFor(t, "3 jobs", r, func() bool { return r.Stats().Sent == 3 && r.Stats().Away == "" })
	})
}

// TestDroppedTables drops the tables while a relay runs, and creates them again. The
// relay goes on, with the new token.
func TestDroppedTables(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		insert(t, db, "f", "a", 1, 1)
		r := newRelay(t, db, s.addr)
		run(t, r)
		waitFor(t, "first job", r, func() bool { return r.Stats().Sent == 1 })
		d.query(t, "DROP TABLE gearman_outbox; DROP TABLE gearman_outbox_token")
		waitFor(t, "failure", r, func() bool { return r.Stats().Away == awayDatabase })
		again := d.install(t, Config{})
		insert(t, again, "f", "b", 1, 1)
		waitFor(t, "second job", r, func() bool { return r.Stats().Sent == 2 })
		token, err := again.readToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := db.readToken(t.Context()); got != token || err != nil {
			t.Errorf("the relay has the token %q, %v, want %q", got, err, token)
		}
	})
}

// TestUserLocked locks the user of a relay out for a while.
func TestUserLocked(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		direct := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		user := "relay_" + d.name
		if d.dialect == Postgres {
			d.query(t, "CREATE ROLE "+user+" LOGIN; GRANT SELECT, DELETE, UPDATE (attempts, last_error, dead) ON gearman_outbox TO "+user+
				"; GRANT SELECT ON gearman_outbox_token TO "+user)
		} else {
			d.query(t, "CREATE USER "+user+" IDENTIFIED BY 'pw'; GRANT SELECT, DELETE, UPDATE (attempts, last_error, dead) ON gearman_outbox TO "+user+
				"; GRANT SELECT, UPDATE (flushes) ON gearman_outbox_token TO "+user)
		}
		db := d.openAs(t, user, "pw")
		if err := db.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := newRelay(t, db, s.addr)
		run(t, r)
		insert(t, direct, "f", "a", 1, 1)
		waitFor(t, "first job", r, func() bool { return r.Stats().Sent == 1 })
		if d.dialect == Postgres {
			d.query(t, "ALTER ROLE "+user+" NOLOGIN; SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+user+"'")
		} else {
			d.query(t, "ALTER USER "+user+" IDENTIFIED BY 'other'; KILL USER "+user)
		}
		insert(t, direct, "f", "b", 1, 1)
		waitFor(t, "failure", r, func() bool { return r.Stats().Away == awayDatabase && IsDenied(db.Check(t.Context())) })
		if d.dialect == Postgres {
			d.query(t, "ALTER ROLE "+user+" LOGIN")
		} else {
			d.query(t, "ALTER USER "+user+" IDENTIFIED BY 'pw'")
		}
		waitFor(t, "second job", r, func() bool { return r.Stats().Sent == 2 && r.Stats().Away == "" })
	})
}

// TestPlans reads the plans of the statements on a table with many waiting and dead rows:
// a batch must not read more of it than its own rows.
func TestPlans(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		explain, analyze := "EXPLAIN (COSTS OFF) ", "ANALYZE gearman_outbox"
		fill := "INSERT INTO gearman_outbox (function, workload, dead) SELECT 'f', 'x', CASE WHEN n <= 5000 THEN now() END FROM generate_series(1, 30000) AS n"
		if d.dialect == MySQL {
			explain, analyze = "EXPLAIN ", "ANALYZE TABLE gearman_outbox"
			fill = "INSERT INTO gearman_outbox (`function`, workload, dead) SELECT 'f', 'x', IF(seq <= 5000, UTC_TIMESTAMP(6), NULL) FROM seq_1_to_30000"
		}
		d.query(t, fill)
		d.query(t, analyze)
		ids := make([]int64, 1000)
		for i := range ids {
			ids[i] = int64(5001 + i)
		}
		for _, test := range []struct {
			name, statement, postgres string
			mysql                     []string
		}{
			{
				"lock", "SELECT id " + fmt.Sprintf(db.dialect.live, db.table.sql()) + " ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED",
				"Index Scan using ",
				[]string{"|range|PRIMARY|"},
			},
			{"delete", fmt.Sprintf(db.dialect.deleteByID, db.table.sql(), idList(ids)), "Index Scan using ", []string{"|eq_ref|PRIMARY|"}},
			{"mark", fmt.Sprintf(db.dialect.updateByID, db.table.sql(), idList(ids), "attempts = attempts + 1"), "Index Scan using ", []string{"|eq_ref|PRIMARY|"}},
		} {
			plan := d.query(t, explain+test.statement)
			want := []string{test.postgres}
			if d.dialect == MySQL {
				want = test.mysql
			}
			for _, part := range want {
				if !strings.Contains(plan, part) {
					t.Errorf("%s: got the plan\n%s\nwant %s", test.name, plan, part)
				}
			}
			if strings.Contains(plan, "Sort") || strings.Contains(plan, "filesort") || strings.Contains(plan, "Seq Scan") {
				t.Errorf("%s: the plan reads or sorts the table:\n%s", test.name, plan)
			}
		}
	})
}
