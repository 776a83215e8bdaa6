package outbox

import (
	"strings"
	"testing"

	"gm/pkg/gearman"
)

// addTrigger creates a trigger in a database.
func (d *database) addTrigger(t testing.TB, tr Trigger) {
	t.Helper()
	text, err := tr.SQL(d.dialect)
	if err != nil {
		t.Fatal(err)
	}
	d.query(t, text)
}

// workloads returns the workloads of the outbox without blanks, and empties it.
func (d *database) workloads(t testing.TB) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(d.rows(t, DefaultTable)) {
		lines = append(lines, strings.ReplaceAll(strings.Split(line, "|")[1], " ", ""))
	}
	d.query(t, "DELETE FROM "+DefaultTable)
	return strings.Join(lines, "\n")
}

func TestTriggerJSON(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		d.install(t, Config{})
		bytes, binary := "bytea", []string(nil)
		if d.dialect == MySQL {
			bytes, binary = "BLOB", []string{"raw"}
		}
		d.query(t, "CREATE TABLE uploads (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(9,2), day DATE, raw "+bytes+", thumb VARCHAR(40))")
		d.addTrigger(t, Trigger{
			Table: "uploads", Events: []string{"insert", "update", "delete"}, Function: "resize", JSON: true,
			Columns: []string{"id", "name", "price", "day", "raw"}, Binary: binary, Priority: gearman.High,
		})
		blob := "x'00ff'"
		if d.dialect == Postgres {
			blob = "'\\x00ff'"
		}
		d.query(t, "INSERT INTO uploads VALUES (1, 'Ä \"q\" ''s''', 12.50, '2040-01-02', "+blob+", NULL)")
		if got := d.query(t, "SELECT priority FROM "+DefaultTable); got != "1\n" {
			t.Errorf("got priority %q, want 1", got)
		}
		want := `{"id":1,"name":"Ä\"q\"'s'","price":12.50,"day":"2040-01-02","raw":"\\x00ff"}`
		if got := compareJSON(t, d.workloads(t), `{"table":"uploads","event":"insert","old":null,"new":`+want+`}`); got != "" {
			t.Error(got)
		}
		d.query(t, "UPDATE uploads SET thumb = 'done'")
		if got := d.workloads(t); got != "" {
			t.Errorf("another column has changed, and there is the job %s", got)
		}
		d.query(t, "UPDATE uploads SET name = 'b', price = NULL, day = NULL, raw = NULL")
		null := `{"id":1,"name":"b","price":null,"day":null,"raw":null}`
		if got := compareJSON(t, d.workloads(t), `{"table":"uploads","event":"update","old":`+want+`,"new":`+null+`}`); got != "" {
			t.Error(got)
		}
		d.query(t, "UPDATE uploads SET name = 'B'")
		if got := d.workloads(t); !strings.Contains(got, `"B"`) {
			t.Errorf("a letter has become a capital, and the job is %q", got)
		}
		d.query(t, "DELETE FROM uploads")
		if got := compareJSON(t, d.workloads(t), `{"table":"uploads","event":"delete","old":`+strings.Replace(null, `"b"`, `"B"`, 1)+`,"new":null}`); got != "" {
			t.Error(got)
		}
	})
}

// TestTriggerReplaced creates a trigger again, for fewer events.
func TestTriggerReplaced(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		d.install(t, Config{})
		d.query(t, "CREATE TABLE files (id INT, path VARCHAR(40))")
		tr := Trigger{Table: "files", Events: []string{"insert", "update", "delete"}, Function: "scan", Columns: []string{"path"}}
		d.addTrigger(t, tr)
		d.query(t, "INSERT INTO files VALUES (1, 'é'); INSERT INTO files VALUES (2, NULL)")
		if got := d.workloads(t); got != "é" {
			t.Errorf("got %q, want the path of the one row that has one", got)
		}
		d.query(t, "UPDATE files SET path = 'b' WHERE id = 1; UPDATE files SET path = 'b' WHERE id = 1; DELETE FROM files")
		if got := d.workloads(t); got != "b\nb" {
			t.Errorf("got %q, want b for the first update and for the deletion", got)
		}
		tr.Events = []string{"delete"}
		d.addTrigger(t, tr)
		d.query(t, "INSERT INTO files VALUES (1, 'a'); UPDATE files SET path = 'b'; DELETE FROM files")
		if got := d.workloads(t); got != "b" {
			t.Errorf("got %q, want b for the deletion only", got)
		}
	})
}

// TestTriggerBytes sends a column of bytes as it is.
func TestTriggerBytes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		d.install(t, Config{})
		kind, value, hex := "bytea", "'\\x00ff27'", "encode(workload, 'hex')"
		if d.dialect == MySQL {
			kind, value, hex = "BLOB", "x'00ff27'", "LOWER(HEX(workload))"
		}
		d.query(t, "CREATE TABLE files (raw "+kind+")")
		d.addTrigger(t, Trigger{
			Table: "files", Events: []string{"insert", "delete"}, Function: "scan", Columns: []string{"raw"}, Binary: []string{"raw"},
		})
		d.query(t, "INSERT INTO files VALUES ("+value+")")
		d.query(t, "DELETE FROM files")
		if got := d.query(t, "SELECT "+hex+" FROM "+DefaultTable); got != "00ff27\n00ff27\n" {
			t.Errorf("got %q, want the bytes twice", got)
		}
	})
}

// TestTriggerRollback rolls back a transaction with a trigger.
func TestTriggerRollback(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		d.install(t, Config{})
		d.query(t, "CREATE TABLE files (path VARCHAR(40))")
		d.addTrigger(t, Trigger{Table: "files", Events: []string{"insert"}, Function: "scan", Columns: []string{"path"}})
		d.query(t, "BEGIN; INSERT INTO files VALUES ('a'); ROLLBACK")
		d.query(t, "BEGIN; INSERT INTO files VALUES ('b'); COMMIT")
		if got := d.workloads(t); got != "b" {
			t.Errorf("got %q, want b", got)
		}
	})
}

// TestTriggerAllColumns is for PostgreSQL, whose triggers can send all columns.
func TestTriggerAllColumns(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		d.install(t, Config{})
		d.query(t, "CREATE TABLE files (a INT, b INT)")
		tr := Trigger{Table: "files", Events: []string{"update"}, Function: "scan", JSON: true}
		if d.dialect == MySQL {
			if _, err := tr.SQL(MySQL); err == nil || !strings.Contains(err.Error(), "names its columns") {
				t.Errorf("got %v, want an error about columns", err)
			}
			return
		}
		d.addTrigger(t, tr)
		d.query(t, "INSERT INTO files VALUES (1, 2); UPDATE files SET a = 1; UPDATE files SET b = 3")
		if got := compareJSON(t, d.workloads(t), `{"table":"files","event":"update","old":{"a":1,"b":2},"new":{"a":1,"b":3}}`); got != "" {
			t.Error(got)
		}
	})
}

func TestInvalidTriggers(t *testing.T) {
	t.Parallel()
	valid := Trigger{Table: "t", Events: []string{"insert"}, Function: "f", Columns: []string{"a", "b"}, JSON: true}
	if _, err := valid.SQL(MySQL); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Trigger){
		"function: empty":                   func(tr *Trigger) { tr.Function = "" },
		"no events":                         func(tr *Trigger) { tr.Events = nil },
		`event "truncate": want insert`:     func(tr *Trigger) { tr.Events = []string{"truncate"} },
		"2 columns: a workload that is not": func(tr *Trigger) { tr.JSON = false },
		`binary column "c"`:                 func(tr *Trigger) { tr.Binary = []string{"c"} },
		"column: the name is empty":         func(tr *Trigger) { tr.Columns = []string{""} },
		"is not high, normal or low":        func(tr *Trigger) { tr.Priority = 7 },
		"the name is empty":                 func(tr *Trigger) { tr.Table = "" },
		"outbox: schema of table":           func(tr *Trigger) { tr.Outbox = ".x" },
		"exceed the limit":                  func(tr *Trigger) { tr.Name = strings.Repeat("n", 60) },
	} {
		tr := valid
		change(&tr)
		if _, err := tr.SQL(MySQL); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestTriggerPartitioned has a table with partitions. The workload has the name of the
// table.
func TestTriggerPartitioned(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		d.install(t, Config{})
		if d.dialect == Postgres {
			d.query(t, "CREATE TABLE orders (id INT) PARTITION BY RANGE (id); CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM (0) TO (100)")
		} else {
			d.query(t, "CREATE TABLE orders (id INT) PARTITION BY RANGE (id) (PARTITION orders_1 VALUES LESS THAN (100))")
		}
		d.addTrigger(t, Trigger{Table: "orders", Events: []string{"insert"}, Function: "ship", JSON: true, Columns: []string{"id"}})
		d.query(t, "INSERT INTO orders VALUES (7)")
		if got := compareJSON(t, d.workloads(t), `{"table":"orders","event":"insert","old":null,"new":{"id":7}}`); got != "" {
			t.Error(got)
		}
	})
}

// TestTriggerBits has columns with bits and bytes. Each byte has two digits.
func TestTriggerBits(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		if d.dialect != MySQL {
			return // PostgreSQL shows bits as 0 and 1
		}
		db := d.install(t, Config{})
		d.query(t, "CREATE TABLE flags (a BIT(3), b BIT(20), c BINARY(2), d VARBINARY(9))")
		if err := db.InstallTrigger(t.Context(), Trigger{Table: "flags", Events: []string{"insert"}, Function: "f", JSON: true}); err != nil {
			t.Fatal(err)
		}
		d.query(t, "INSERT INTO flags VALUES (b'101', b'1', x'01', ''); INSERT INTO flags (a) VALUES (NULL)")
		first, second, _ := strings.Cut(d.workloads(t), "\n")
		for got, want := range map[string]string{
			first:  `{"a":"\\x05","b":"\\x000001","c":"\\x0100","d":"\\x"}`,
			second: `{"a":null,"b":null,"c":null,"d":null}`,
		} {
			if diff := compareJSON(t, got, `{"table":"flags","event":"insert","old":null,"new":`+want+`}`); diff != "" {
				t.Error(diff)
			}
		}
	})
}
