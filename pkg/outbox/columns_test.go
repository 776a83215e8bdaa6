package outbox

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCompleteTrigger reads the columns of a table.
func TestCompleteTrigger(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{Table: "jobs"})
		bytes := "bytea"
		if d.dialect == MySQL {
			bytes = "VARBINARY(20)"
		}
		d.query(t, "CREATE TABLE "+d.dialect.identifier("Files")+" (id INT, "+d.dialect.identifier("The Path")+" VARCHAR(40), raw "+bytes+")")
		tr := Trigger{Table: "Files", Events: []string{"insert"}, Function: "scan", JSON: true}
		if err := db.InstallTrigger(t.Context(), tr); err != nil {
			t.Fatal(err)
		}
		value := "x'00ff'"
		if d.dialect == Postgres {
			value = "'\\x00ff'"
		}
		d.query(t, "INSERT INTO "+d.dialect.identifier("Files")+" VALUES (1, 'a', "+value+")")
		row := strings.Split(d.rows(t, "jobs"), "|")
		want := `{"table": "Files", "event": "insert", "old": null, "new": {"id": 1, "The Path": "a", "raw": "\\x00ff"}}`
		if len(row) < 2 || compareJSON(t, row[1], want) != "" {
			t.Errorf("got %q, want the workload %s", row, want)
		}

		tr.JSON, tr.Columns = false, []string{"raw"}
		complete, err := db.CompleteTrigger(t.Context(), tr)
		if err != nil || !slices.Equal(complete.Binary, []string{"raw"}) || complete.Outbox != "jobs" {
			t.Errorf("got %+v, %v, want a column of bytes and the outbox jobs", complete, err)
		}
		for want, change := range map[string]func(*Trigger){
			`it has no column "the path", only id, The Path, raw`: func(tr *Trigger) { tr.Columns = []string{"the path"} },
			`it has no column "x", only`:                          func(tr *Trigger) { tr.Binary = []string{"x"} },
			`"files"`:                                             func(tr *Trigger) { tr.Table = "files" },
			`"no.files"`:                                          func(tr *Trigger) { tr.Table = "no.files" },
			"no events":                                           func(tr *Trigger) { tr.Events = nil },
			"3 columns: a workload":                               func(tr *Trigger) { tr.Columns = nil },
		} {
			tr := tr
			change(&tr)
			_, err := db.TriggerSQL(t.Context(), tr)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			if wrong := new(TriggerError); !errors.As(err, &wrong) && !IsDenied(err) { // MySQL does not tell which databases exist
				t.Errorf("%v is a %T, want a TriggerError", err, err)
			}
			if err := db.InstallTrigger(t.Context(), tr); err == nil {
				t.Errorf("InstallTrigger accepts what TriggerSQL refuses with %q", want)
			}
		}
	})
}

func TestStatus(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		check := func(want Status) {
			t.Helper()
			got, err := db.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.Oldest.IsZero() != want.Oldest.IsZero() || !got.Oldest.IsZero() && time.Since(got.Oldest).Abs() > time.Hour {
				t.Errorf("the oldest row is from %v", got.Oldest)
			}
			got.Oldest, want.Oldest = time.Time{}, time.Time{}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		check(Status{})
		insert(t, db, "f", "a", 1, 3)
		check(Status{Waiting: 3, Oldest: time.Now()})
		d.query(t, "UPDATE gearman_outbox SET dead = "+db.dialect.now+", last_error = 'bad' WHERE id = 2")
		check(Status{Waiting: 2, Oldest: time.Now(), Dead: 1, LastError: "bad"})
		d.query(t, "UPDATE gearman_outbox SET attempts = 4, last_error = 'worse' WHERE id = 1")
		check(Status{Waiting: 2, Oldest: time.Now(), Attempts: 4, Dead: 1, LastError: "worse"})
	})
}

// TestCheck has a user without rights, a missing table, and a table that lacks a column.
func TestCheck(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		insert(t, db, "f", "a", 1, 1)
		if err := db.Check(t.Context()); err != nil {
			t.Errorf("Check of an outbox: %v", err)
		}
		if got, want := d.rows(t, DefaultTable), "f|a-1|-|0\n"; got != want {
			t.Errorf("after Check, got %q, want %q", got, want)
		}
		if err := d.open(t, Config{Table: "absent"}).Check(t.Context()); !IsMissing(err) || IsDenied(err) {
			t.Errorf("without a table: got %v, want IsMissing", err)
		}
		denied := d.openAs(t, "nobody", "wrong")
		if err := denied.Check(t.Context()); !IsDenied(err) || IsMissing(err) {
			t.Errorf("with a wrong password or without rights: got %v, want IsDenied", err)
		}
		d.query(t, "ALTER TABLE gearman_outbox DROP COLUMN last_error")
		if err := db.Check(t.Context()); !IsMissing(err) || !strings.Contains(err.Error(), "last_error") {
			t.Errorf("without a column: got %v, want IsMissing", err)
		}
	})
}
