package udf_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// updateScript is the script of an update to the version 1.1 that the tests install.
const updateScript = `CREATE FUNCTION gman_updated() RETURNS text AS 'MODULE_PATHNAME', 'pg_gman_version' LANGUAGE C;`

// createDatabase makes a database without the extension, and opens a session.
func (p *postgres) createDatabase(t *testing.T, name string) *session {
	t.Helper()
	p.Query(t, "CREATE DATABASE "+name+" TEMPLATE template0")
	return newSession(t, p.openDatabase(t, name))
}

// testExtension creates, moves, updates and drops the extension.
func testExtension(t *testing.T, p *postgres) {
	s := p.createDatabase(t, "extension")
	s.exec(t, "CREATE SCHEMA jobs; CREATE EXTENSION gearman SCHEMA jobs")
	s.want(t, "SELECT jobs.gman_do('reverse', 'ab')", "ba")
	s.want(t, "SELECT jobs.gman_sum('length', 'ab')", "2")
	s.exec(t, "CREATE SCHEMA work; ALTER EXTENSION gearman SET SCHEMA work")
	s.want(t, "SELECT work.gman_do('reverse', 'ab')", "ba")
	s.exec(t, "ALTER EXTENSION gearman UPDATE")
	s.want(t, "SELECT extversion FROM pg_extension WHERE extname = 'gearman'", "1.0")
	s.exec(t, "ALTER EXTENSION gearman UPDATE TO '1.1'")
	s.want(t, "SELECT extversion FROM pg_extension WHERE extname = 'gearman'", "1.1")
	s.want(t, "SELECT work.gman_updated()", "1.0")
	s.want(t, "SELECT work.gman_do('reverse', 'ab')", "ba")

	s.exec(t, "CREATE TABLE t (w text DEFAULT work.gman_do('reverse', 'ab'))")
	s.wantState(t, "DROP EXTENSION gearman", "2BP01") // the table needs it
	s.exec(t, "DROP EXTENSION gearman CASCADE")
	s.want(t, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'gman%'", "0")
	s.exec(t, "CREATE EXTENSION gearman")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	s.exec(t, "DROP EXTENSION gearman")
}

// testDump restores a database from pg_dump.
func testDump(t *testing.T, p *postgres) {
	from := p.createDatabase(t, "dumped")
	from.exec(t, `CREATE EXTENSION gearman; CREATE ROLE clerk; CREATE TABLE letters (name text);
		GRANT EXECUTE ON FUNCTION gman_do(text, text, text) TO clerk;
		CREATE FUNCTION post() RETURNS trigger LANGUAGE plpgsql AS
			'BEGIN NEW.name := gman_do(''reverse'', NEW.name); RETURN NEW; END';
		CREATE TRIGGER post BEFORE INSERT ON letters FOR EACH ROW EXECUTE FUNCTION post();
		INSERT INTO letters VALUES ('ab')`)
	url := func(name string) string { return strings.Replace(p.URL(p.Addr()), "/postgres?", "/"+name+"?", 1) }
	bin := pgConfig(t, "--bindir")
	dump := filepath.Join(publicDir(t), "dump.sql")
	if out, err := exec.Command(filepath.Join(bin, "pg_dump"), "-f", dump, url("dumped")).CombinedOutput(); err != nil {
		t.Fatalf("pg_dump: %v\n%s", err, out)
	}
	to := p.createDatabase(t, "restored")
	restore := exec.Command(filepath.Join(bin, "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", dump, url("restored"))
	if out, err := restore.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	// The trigger does not run while the rows are restored.
	to.want(t, "SELECT string_agg(name, ' ') FROM letters", "ba")
	to.want(t, "INSERT INTO letters VALUES ('cd') RETURNING name", "dc")
	to.exec(t, "SET ROLE clerk")
	to.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	to.wantState(t, "SELECT gman_do_background('reverse', 'ab')", "42501")
}
