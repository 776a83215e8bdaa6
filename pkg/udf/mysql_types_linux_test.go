package udf_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

func testMySQLArguments(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	s.want(t, "SELECT gman_version()", "1.0")
	s.want(t, "SELECT gman_do('pieces')", "abc")
	s.want(t, "SELECT gman_do('reverse', 123)", "321")
	s.want(t, "SELECT gman_do('reverse', 1.50)", "05.1")
	s.want(t, "SELECT gman_do(CONCAT('re', 'verse'), DATE '2026-12-31')", "13-21-6202")
	s.want(t, "SELECT gman_do_high('reverse', 'ab', 'u')", "ba")
	s.want(t, "SELECT gman_do_low('reverse', 'ab', NULL)", "ba")
	const cannotInitialize = 1123
	for _, call := range []string{
		"gman_do()", "gman_do('a', 'b', 'c', 'd')", "gman_do_background()", "gman_status()", "gman_result('a', 'b')",
		"gman_sum('a')", "gman_sum('a', 'b', 'c', 'd')", "gman_version(1)", "gman_servers_set()", "gman_servers_set('a', 'b', 'c')",
		"gman_setting()",
	} {
		s.wantNumber(t, "SELECT "+call, cannotInitialize)
	}
	_, err := s.query("SELECT gman_do()")
	if err == nil || !strings.Contains(err.Error(), "usage: gman_do(function [, workload [, unique]])") {
		t.Errorf("the error is %v", err)
	}
	for _, call := range []string{
		"gman_do('')", "gman_do(REPEAT('f', 513))", "gman_do('a\\0b')", "gman_do('reverse', 'x', REPEAT('u', 256))",
		"gman_do_background('', 'x')", "gman_status('')", "gman_result('a\\nshutdown')", "gman_status(REPEAT('h', 256))",
		"gman_sum('', 'x')",
	} {
		s.wantNumber(t, "SELECT "+call, argumentError)
	}
	// A function runs for each row, also with constant arguments.
	before := m.worker.reversed.Load()
	s.want(t, "SELECT COUNT(gman_do('reverse', 'ab')) FROM seq_1_to_100", "100")
	if n := m.worker.reversed.Load() - before; n != 100 {
		t.Errorf("100 rows make %d jobs", n)
	}
	s.exec(t, "PREPARE p FROM 'SELECT gman_do(?, ?)'")
	for _, w := range []string{"abc", "", "de"} {
		s.exec(t, "SET @f = 'echo', @w = '"+w+"'")
		s.want(t, "EXECUTE p USING @f, @w", w)
	}
}

func testMySQLBytes(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	s.want(t, "SELECT HEX(gman_do('reverse', x'00ff0a'))", "0AFF00")
	s.want(t, "SELECT LENGTH(gman_do('echo', ''))", "0")
	s.want(t, "SELECT CHARSET(gman_do('echo', 'é'))", "binary")
	s.want(t, "SELECT CONVERT(gman_do('echo', 'é€') USING utf8mb4)", "é€")
	s.exec(t, "SET NAMES latin1")
	s.want(t, "SELECT HEX(gman_do('echo', _latin1 x'e9'))", "E9")
	s.want(t, "SELECT HEX(gman_do('echo', CONVERT(_latin1 x'e9' USING utf8mb4)))", "C3A9")
	s.want(t, "SELECT HEX(gman_do('reverse', CONVERT('ab' USING ucs2)))", "62006100")
	s.exec(t, "CREATE TABLE made AS SELECT gman_do('echo', x'00ff') AS r, gman_do_background('echo', 'x') AS h, gman_status('H:none:1') AS s")
	t.Cleanup(func() { m.Query(t, "DROP TABLE made") })
	s.want(t, "SELECT HEX(r) FROM made", "00FF")
	s.want(t, "SELECT GROUP_CONCAT(data_type ORDER BY column_name) FROM information_schema.columns WHERE table_name = 'made'",
		"varbinary,longblob,varbinary")
}

func testMySQLNull(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	for _, call := range []string{
		"gman_do(NULL, 'x')", "gman_do('echo', NULL)", "gman_do_background('echo', NULL)", "gman_do_low_background(NULL, 'x')",
		"gman_result(NULL)", "gman_status(NULL)", "gman_sum('echo', NULL)", "gman_do('echo', NULL, 'u')",
	} {
		s.want(t, "SELECT "+call, "NULL")
	}
	s.want(t, "SELECT gman_do('echo', 'x', NULL)", "x")
	s.want(t, "SELECT GROUP_CONCAT(IFNULL(gman_do('echo', IF(seq = 2, NULL, seq)), '-') ORDER BY seq) FROM seq_1_to_3", "1,-,3")
}

func testMySQLUniques(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	m.change(t, "servers", startJobServer(t).addr)
	unique := strings.Repeat("u", 255)
	first, err := s.query("SELECT gman_do_background('waiting', 'x', ?)", unique)
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.query("SELECT gman_do_background('waiting', 'y', ?)", unique)
	if err != nil || second != first {
		t.Errorf("the second job with the unique is %q, %v; want %q", second, err, first)
	}
	other, err := s.query("SELECT gman_do_background('waiting', 'x', ?)", unique[1:])
	if err != nil || other == first {
		t.Errorf("a job with another unique is %q, %v", other, err)
	}
}

func testMySQLLarge(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	const size = 16 << 20
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(i % 251)
	}
	var got []byte
	if err := s.QueryRowContext(context.Background(), "SELECT gman_do('echo', ?)", sent).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, sent) {
		t.Errorf("%d bytes come back as %d other bytes", len(sent), len(got))
	}
	s.want(t, "SELECT GROUP_CONCAT(LENGTH(gman_do('echo', REPEAT('x', 7 * POW(10, 7 - seq)))) ORDER BY seq) FROM seq_1_to_7",
		"7000000,700000,70000,7000,700,70,7")
	m.change(t, "max_result", "1MB")
	s.wantNumber(t, "SELECT gman_do('echo', REPEAT('x', 2097152))", protocolError)
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testMySQLStatusResult(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	w := startWorker(t, m.jobs.addr)
	handle, err := s.query("SELECT gman_do_background('block')")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job runs", func() bool { return len(w.blocked)+len(m.worker.blocked) > 0 })
	s.want(t, "SELECT gman_status('"+handle+"')", `{"known": true, "running": true, "numerator": 1, "denominator": 2}`)
	s.want(t, "SELECT JSON_VALUE(gman_status('"+handle+"'), '$.denominator')", "2")
	s.want(t, "SELECT gman_result('"+handle+"')", "NULL")
	s.want(t, "SELECT gman_status('H:none:1')", `{"known": false, "running": false, "numerator": 0, "denominator": 0}`)
	s.want(t, "SELECT gman_result('H:none:1')", "NULL")

	done, err := s.query("SELECT gman_do_background('reverse', 'abc')")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the result is kept", func() bool {
		got, err := s.query("SELECT gman_result(?)", done)
		return err == nil && got == "cba"
	})
	failed, err := s.query("SELECT gman_do_background('fail')")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the failure is kept", func() bool {
		got, err := s.query("SELECT gman_result(?)", failed)
		if err == nil && got == "NULL" {
			return false
		}
		checkNumber(t, "gman_result", got, err, failedError)
		return true
	})
}

func testMySQLSum(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	const notANumber, outOfRange = 1292, 1690
	s.want(t, "SELECT gman_sum('length', REPEAT('x', seq)) FROM seq_1_to_1000", "500500")
	s.want(t, "SELECT GROUP_CONCAT(sum ORDER BY g SEPARATOR ' ') FROM "+
		"(SELECT seq % 3 AS g, gman_sum('length', REPEAT('x', seq)) AS sum FROM seq_1_to_9 GROUP BY g) AS sums", "18 12 15")
	s.want(t, "SELECT gman_sum('echo', IF(seq = 2, NULL, seq)) FROM seq_1_to_3", "4")
	s.want(t, "SELECT gman_sum(IF(seq % 2, 'echo', 'length'), '7') FROM seq_1_to_3", "15")
	s.want(t, "SELECT gman_sum('echo', seq, seq % 5) FROM seq_1_to_20", "210")
	s.want(t, "SELECT gman_sum('echo', '1') FROM seq_1_to_1 WHERE seq = 2", "NULL")
	s.want(t, "SELECT gman_sum('echo', '-9223372036854775808')", "-9223372036854775808")
	s.wantNumber(t, "SELECT gman_sum('echo', 9223372036854775807) FROM seq_1_to_2", outOfRange)
	s.wantNumber(t, "SELECT gman_sum('echo', '1.5')", notANumber)
	s.wantNumber(t, "SELECT gman_sum('echo', REPEAT('x', 2000))", notANumber)
	s.wantNumber(t, "SELECT gman_sum('fail', '1')", failedError)
	s.want(t, "SELECT gman_sum('length', REPEAT('x', 100000)) FROM seq_1_to_100", "10000000")
}

func testMySQLServersSet(t *testing.T, m *mysqlServer) {
	s, other := newSession(t, m.db), newSession(t, m.db)
	m.change(t, "servers", m.jobs.addr)
	s.want(t, "SELECT gman_servers_set('127.0.0.1:1')", "127.0.0.1:1")
	other.wantNumber(t, "SELECT gman_do('echo', 'x')", noServerError)
	s.want(t, "SELECT gman_servers_set('"+m.jobs.addr+"', 'echo')", "127.0.0.1:1; echo="+m.jobs.addr)
	other.want(t, "SELECT gman_do('echo', 'x')", "x")
	other.wantNumber(t, "SELECT gman_do('reverse', 'x')", noServerError)
	s.want(t, "SELECT gman_servers_set('', 'echo')", "127.0.0.1:1")
	other.wantNumber(t, "SELECT gman_do('echo', 'x')", noServerError)
	s.wantNumber(t, "SELECT gman_servers_set('a/b')", argumentError)
	s.wantNumber(t, "SELECT gman_servers_set('a', 'b=c')", argumentError)
	s.want(t, "SELECT gman_setting('servers')", "127.0.0.1:1")
	s.want(t, "SELECT gman_servers_set('127.0.0.1:1; echo="+m.jobs.addr+"')", "127.0.0.1:1; echo="+m.jobs.addr)
	other.want(t, "SELECT gman_do('echo', 'x')", "x")
}

func testMySQLSettings(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	for name, want := range map[string]string{
		"servers": m.jobs.addr, "timeout": "10s", "connect_timeout": "1s", "max_result": "256MB", "on_error": "error",
		"tls": "off", "tls_verify": "name", "tls_ca": "", "tls_cert": "", "tls_key": "",
	} {
		s.want(t, "SELECT gman_setting('"+name+"')", want)
	}
	m.change(t, "timeout", "90s")
	s.want(t, "SELECT gman_setting('timeout')", "90s")
	s.wantNumber(t, "SELECT gman_setting('timeout', 'soon')", argumentError)
	s.wantNumber(t, "SELECT gman_setting('timeout', NULL)", argumentError)
	s.wantNumber(t, "SELECT gman_setting('nothing')", argumentError)
	s.wantNumber(t, "SELECT gman_setting('tls_ca', '/etc/passwd')", argumentError)
	s.want(t, "SELECT gman_setting('timeout')", "90s")
}

// testMySQLPrivileges sees that a user without any rights can call the functions,
// but not change them.
func testMySQLPrivileges(t *testing.T, m *mysqlServer) {
	m.Query(t, "CREATE USER app IDENTIFIED BY 'secret'")
	s := newSession(t, m.db)
	app := newSession(t, m.openDatabase(t, "app", "secret"))
	app.want(t, "SELECT gman_do('echo', 'x')", "x")
	app.want(t, "SELECT gman_servers_set('"+m.jobs.addr+"')", m.jobs.addr)
	if _, err := app.ExecContext(context.Background(), "DROP FUNCTION gman_do"); err == nil {
		t.Error("a user without rights may drop gman_do")
	}
	s.exec(t, "DROP FUNCTION gman_servers_set")
	app.wantError(t, "SELECT gman_servers_set('"+m.jobs.addr+"')")
	app.want(t, "SELECT gman_do('echo', 'x')", "x")
	m.runFile(t, "install.sql")
	m.set(t, "servers", m.jobs.addr)
	m.Query(t, "DROP USER app")
}

func testMySQLTrigger(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	before := m.worker.reversed.Load()
	s.exec(t, "CREATE TABLE images (id SERIAL, name TEXT, handle VARCHAR(255))")
	t.Cleanup(func() { m.Query(t, "DROP TABLE images") })
	s.exec(t, "CREATE TRIGGER resize BEFORE INSERT ON images FOR EACH ROW SET NEW.handle = gman_do_background('reverse', NEW.name)")
	s.exec(t, "INSERT INTO images (name) SELECT CONCAT('cat', seq) FROM seq_1_to_100")
	eventually(t, "100 jobs are done", func() bool { return m.worker.reversed.Load() == before+100 })
	s.want(t, "SELECT COUNT(*) FROM images WHERE handle LIKE 'H:%'", "100")

	// The error of a trigger ends the statement. DO ignores it.
	m.change(t, "servers", "127.0.0.1:1")
	_, err := s.ExecContext(context.Background(), "INSERT INTO images (name) VALUES ('dog')")
	checkNumber(t, "INSERT", "", err, noServerError)
	s.exec(t, "DROP TRIGGER resize")
	s.exec(t, "CREATE TRIGGER resize AFTER INSERT ON images FOR EACH ROW DO gman_do_background('reverse', NEW.name)")
	s.exec(t, "INSERT INTO images (name) VALUES ('cow')")
	s.want(t, "SELECT COUNT(*) FROM images", "101")
}

func testMySQLFailed(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	_, err := s.query("SELECT gman_do('fail', 'x')")
	checkNumber(t, "gman_do", "", err, failedError)
	var failure *mysql.MySQLError
	if errors.As(err, &failure) && (!strings.HasPrefix(failure.Message, "gearman: job H:") ||
		!strings.HasSuffix(failure.Message, "of function fail failed: no such image?")) {
		t.Errorf("the error is %q; want the text of the exception", failure.Message)
	}
	m.change(t, "on_error", "null")
	s.want(t, "SELECT gman_do('fail', 'x')", "NULL")
	var level, text string
	var code int
	if err := s.QueryRowContext(context.Background(), "SHOW WARNINGS").Scan(&level, &code, &text); err != nil || level != "Warning" ||
		code != failedError {
		t.Errorf("the warning is %s %d %q, %v", level, code, text, err)
	}
	s.want(t, "SELECT GROUP_CONCAT(IFNULL(gman_do(IF(seq = 2, 'fail', 'echo'), seq), '-') ORDER BY seq) FROM seq_1_to_3", "1,-,3")
	s.want(t, "SELECT gman_sum('fail', '1')", "NULL")
	s.wantNumber(t, "SELECT gman_do('')", argumentError)
}

// testMySQLHandlers sees that the functions go on after a handler of a procedure
// has caught their error.
func testMySQLHandlers(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	s.exec(t, `CREATE PROCEDURE try_all(OUT results TEXT)
		BEGIN
			DECLARE i INT DEFAULT 1;
			DECLARE result TEXT;
			DECLARE CONTINUE HANDLER FOR 50001 SET result = 'failed';
			SET results = '';
			WHILE i <= 5 DO
				SET result = NULL;
				SET result = gman_do(IF(i IN (2, 3), 'fail', 'echo'), i);
				SET results = CONCAT(results, ' ', result);
				SET i = i + 1;
			END WHILE;
		END`)
	t.Cleanup(func() { m.Query(t, "DROP PROCEDURE try_all") })
	s.exec(t, "CALL try_all(@results)")
	s.want(t, "SELECT @results", " 1 failed failed 4 5")
}
