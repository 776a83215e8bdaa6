package udf_test

import (
	"context"
	"strings"
	"testing"

	"github.com/lib/pq"
)

func testTypes(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.want(t, "SELECT gman_version()", "1.0")
	s.want(t, "SELECT gman_do('pieces')", "abc")
	s.want(t, `SELECT gman_do('reverse', '\x00ff0a'::bytea)::text`, `\x0aff00`)
	s.want(t, `SELECT gman_do_high('reverse', '\x00ff0a'::bytea)::text`, `\x0aff00`)
	s.want(t, `SELECT gman_do_low('reverse', '\x00ff0a'::bytea)::text`, `\x0aff00`)
	s.want(t, "SELECT pg_typeof(gman_do('echo', ''))::text", "text")
	s.want(t, "SELECT pg_typeof(gman_do('echo', ''::bytea))::text", "bytea")
	s.want(t, "SELECT length(gman_do('echo', ''::bytea))", "0")
	for _, name := range []string{"gman_do_background", "gman_do_high_background", "gman_do_low_background"} {
		s.want(t, "SELECT left("+name+"('reverse', 'x'::bytea), 2)", "H:")
	}
	s.wantState(t, "SELECT gman_do('')", "22023")
	s.wantState(t, "SELECT gman_do(repeat('f', 513))", "22023")
	s.wantState(t, "SELECT gman_do('reverse', 'x', repeat('u', 256))", "22023")
}

func testUniques(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.exec(t, "SET gearman.servers = '"+startJobServer(t).addr+"'")
	unique := strings.Repeat("u", 255)
	first, err := s.query("SELECT gman_do_background('waiting', 'x', $1)", unique)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.query("SELECT gman_do_background('waiting', 'y'::bytea, $1)", unique)
	if err != nil || second != first {
		t.Errorf("the second job with the unique is %q, %v; want %q", second, err, first)
	}
	other, err := s.query("SELECT gman_do_background('waiting', 'x', $1)", unique[1:])
	if err != nil || other == first {
		t.Errorf("a job with another unique is %q, %v", other, err)
	}
}

func testLarge(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	const size = 16 << 20
	s.want(t, `SELECT gman_do('reverse', w) = reverse(w) FROM (SELECT repeat('abcdefgh', 2097152) AS w) AS large`, "true")
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(i % 251)
	}
	var got []byte
	if err := s.QueryRowContext(context.Background(), "SELECT gman_do('echo', $1::bytea)", sent).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if string(got) != string(sent) {
		t.Errorf("%d bytes come back as %d other bytes", len(sent), len(got))
	}
	s.exec(t, "SET gearman.max_result = '1MB'")
	s.wantState(t, "SELECT gman_do('echo', repeat('x', 2097152))", "08P01")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testNull(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	for _, call := range []string{
		"gman_do(NULL, 'x')", "gman_do('echo', NULL)", "gman_do('echo', NULL::bytea)",
		"gman_do_background('echo', NULL)", "gman_do_background(NULL, ''::bytea)",
		"gman_result(NULL)", "gman_status(NULL)::text",
	} {
		s.want(t, "SELECT "+call, "NULL")
	}
	s.want(t, "SELECT gman_do('echo', 'x', NULL)", "x")
}

func testEncodings(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.want(t, "SELECT gman_do('echo', 'é€')", "é€")
	s.want(t, "SELECT convert_from(gman_do('echo', convert_to('é', 'LATIN1')), 'LATIN1')", "é")
	s.wantState(t, "SELECT gman_do('reverse', 'é')", "22021") // the bytes in reverse are not UTF-8

	p.Query(t, "CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
	db := p.openDatabase(t, "latin")
	latin := newSession(t, db)
	latin.exec(t, "CREATE EXTENSION gearman")
	latin.want(t, "SELECT gman_do('echo', 'é')", "é")
	if got := p.worker.payload.Load(); got != "é" {
		t.Errorf("the worker got %q; want UTF-8", got)
	}
	latin.want(t, "SELECT gman_sum('length', 'é')", "2")
	latin.wantState(t, "SELECT gman_do('fail', 'é')", "UG001")
}

func testStatusResult(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	w := startWorker(t, p.jobs.addr)
	handle, err := s.query("SELECT gman_do_background('block')")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job runs", func() bool { return len(w.blocked)+len(p.worker.blocked) > 0 })
	s.want(t, "SELECT gman_status('"+handle+"')::text", "(t,t,1,2)")
	s.want(t, "SELECT gman_result('"+handle+"')", "NULL")
	s.want(t, "SELECT known FROM gman_status('H:none:1')", "false")
	s.want(t, "SELECT gman_result('H:none:1')", "NULL")
	s.wantState(t, "SELECT gman_result(E'a\\nshutdown')", "22023")
	s.wantState(t, "SELECT gman_status('')", "22023")

	done, err := s.query("SELECT gman_do_background('reverse', 'abc')")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the result is kept", func() bool {
		got, err := s.query("SELECT gman_result($1)", done)
		return err == nil && got == "cba"
	})
	s.want(t, "SELECT gman_result_bytea('"+done+"')::text", `\x636261`)
	failed, err := s.query("SELECT gman_do_background('fail')")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is kept", func() bool {
		got, err := s.query("SELECT gman_result($1)", failed)
		if err == nil && got == "NULL" {
			return false
		}
		checkState(t, "gman_result", got, err, "UG001")
		return true
	})
}

func testSum(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.want(t, "SELECT gman_sum('length', repeat('x', i)) FROM generate_series(1, 1000) AS i", "500500")
	s.want(t, `SELECT string_agg(sum::text, ' ' ORDER BY g) FROM
		(SELECT i % 3 AS g, gman_sum('length', repeat('x', i)) AS sum FROM generate_series(1, 9) AS i GROUP BY g) AS sums`, "18 12 15")
	s.want(t, "SELECT gman_sum('echo', n) FROM unnest(ARRAY['1.5', NULL, '2.25']) AS n", "3.75")
	s.want(t, "SELECT gman_sum(f, '7') FROM unnest(ARRAY['echo', 'length', 'echo']) AS f", "15")
	s.want(t, "SELECT gman_sum('echo', '1') WHERE false", "NULL")
	s.wantState(t, "SELECT gman_sum('echo', 'x')", "22P02")
	s.wantState(t, "SELECT gman_sum('echo', repeat('1', 2000))", "22P02")
	s.wantState(t, "SELECT gman_sum('fail', '1')", "UG001")
}

func testServersSet(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.want(t, "SELECT gman_servers_set('127.0.0.1:1')", "127.0.0.1:1")
	s.wantState(t, "SELECT gman_do('echo', 'x')", "08001")
	s.want(t, "SELECT gman_servers_set('"+p.jobs.addr+"', 'echo')", "127.0.0.1:1; echo="+p.jobs.addr)
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
	s.wantState(t, "SELECT gman_do('reverse', 'x')", "08001")
	s.want(t, "SELECT gman_servers_set('', 'echo')", "127.0.0.1:1")
	s.wantState(t, "SELECT gman_do('echo', 'x')", "08001")
	s.wantState(t, "SELECT gman_servers_set('a/b')", "22023")
	s.wantState(t, "SET gearman.servers = 'a/b'", "22023")
	s.exec(t, "BEGIN; SELECT gman_servers_set('"+p.jobs.addr+"'); ROLLBACK")
	s.want(t, "SHOW gearman.servers", "127.0.0.1:1")
	s.exec(t, `CREATE FUNCTION ask(text) RETURNS text LANGUAGE plpgsql SET gearman.servers = '`+p.jobs.addr+`' AS
		'BEGIN RETURN gman_do(''echo'', $1); END'`)
	s.want(t, "SELECT ask('x')", "x")
	s.wantState(t, "SELECT gman_do('echo', 'x')", "08001")
	s.exec(t, "RESET gearman.servers")
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
}

func testTrigger(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	before := p.worker.reversed.Load()
	s.exec(t, `CREATE TABLE images (id serial, name text);
		CREATE FUNCTION resize() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN PERFORM gman_do_background(''reverse'', NEW.name); RETURN NEW; END';
		CREATE TRIGGER resize AFTER INSERT ON images FOR EACH ROW EXECUTE FUNCTION resize();
		INSERT INTO images (name) SELECT 'cat' || i FROM generate_series(1, 100) AS i`)
	eventually(t, "100 jobs are done", func() bool { return p.worker.reversed.Load() == before+100 })
}

func testFailed(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	_, err := s.query("SELECT gman_do('fail', 'x')")
	checkState(t, "gman_do", "", err, "UG001")
	if err != nil && !strings.HasSuffix(err.(*pq.Error).Message, "of function fail failed: no such image?") {
		t.Errorf("the error is %q; want the text of the exception", err)
	}
	s.exec(t, "SET gearman.on_error = 'null'")
	s.want(t, "SELECT gman_do('fail', 'x')", "NULL")
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
	s.wantState(t, "SELECT gman_do('')", "22023")
	s.exec(t, "SET gearman.on_error = 'error'")
	s.wantState(t, "SELECT gman_do('fail', 'x')", "UG001")
}
