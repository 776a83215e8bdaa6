package udf_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lib/pq"

	"gm/pkg/store/storetest"
)

// postgres is a PostgreSQL server with the extension, a gm serve and a worker.
type postgres struct {
	*storetest.Postgres
	db     *sql.DB
	jobs   *jobServer
	worker *worker
}

// startPostgres starts a PostgreSQL server from a copy of the installed one, into
// which it installs the extension.
func startPostgres(t testing.TB) *postgres {
	t.Helper()
	root := t.TempDir()
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil { // the server has a user of its own
		t.Fatal(err)
	}
	bin := installExtension(t, root)
	path := os.Getenv("PATH")
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+path)
	p := &postgres{Postgres: storetest.StartPostgres(t), jobs: startJobServer(t, "--keep-results", "1h")}
	os.Setenv("PATH", path) // a command in the copy would start the installed server
	p.worker = startWorker(t, p.jobs.addr)
	p.db = p.openDatabase(t, "postgres")
	p.Query(t, "CREATE EXTENSION gearman; ALTER ROLE gm SET gearman.servers = '"+p.jobs.addr+"'")
	return p
}

// openDatabase opens a database of the server until the end of the test.
func (p *postgres) openDatabase(t testing.TB, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", strings.Replace(p.URL(p.Addr()), "/postgres?", "/"+name+"?", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// installExtension builds the extension and installs it below root, together with
// links to the rest of PostgreSQL. It returns the directory of the programs. The
// server finds its other files from the place of its program.
func installExtension(t testing.TB, root string) string {
	t.Helper()
	if _, err := os.Stat(pgConfig(t, "--pgxs")); err != nil {
		t.Skipf("postgresql-server-dev is not there: %v", err)
	}
	source := filepath.Join(root, "source")
	for _, dir := range []string{"core", "postgres"} {
		if err := os.CopyFS(filepath.Join(source, dir), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	update := filepath.Join(source, "postgres", "gearman--1.0--1.1.sql")
	if err := os.WriteFile(update, []byte(updateScript), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(root, "build") // as make udf does
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("make", "--no-print-directory", "-C", out, "-f", filepath.Join(source, "postgres", "Makefile"), "install", "DESTDIR="+root,
		`COPT=-DGMAN_GETENT=\"`+writeGetent(t, root)+`\"`)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	bin := pgConfig(t, "--bindir")
	if err := os.MkdirAll(filepath.Join(root, bin), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(bin, "postgres"), filepath.Join(root, bin, "postgres"))
	for _, option := range []string{"--bindir", "--sharedir", "--pkglibdir"} {
		dir := pgConfig(t, option)
		linkMissing(t, dir, filepath.Join(root, dir))
	}
	return filepath.Join(root, bin)
}

// writeGetent writes a program that looks up host names like getent, except that
// jobs.example is this machine, none.example has no address, and it never answers for
// slow.example.
func writeGetent(t testing.TB, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "getent")
	const text = `#!/bin/sh
case $2 in
slow.example) exec sleep 3600 ;;
none.example) exit 2 ;;
jobs.example) echo '127.0.0.1       STREAM jobs.example' ;;
*) exec getent "$@" ;;
esac
`
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func pgConfig(t testing.TB, option string) string {
	t.Helper()
	out, err := exec.Command("pg_config", option).Output()
	if err != nil {
		t.Skipf("pg_config is not there; package postgresql-server-dev-all has it: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// linkMissing makes links in the directory to for the entries of from that it
// does not have.
func linkMissing(t testing.TB, from, to string) {
	t.Helper()
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		there, here := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch info, err := os.Lstat(here); {
		case errors.Is(err, os.ErrNotExist):
			if err := os.Symlink(there, here); err != nil {
				t.Fatal(err)
			}
		case err != nil:
			t.Fatal(err)
		case info.IsDir():
			linkMissing(t, there, here)
		}
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

// session is one session of a database.
type session struct {
	*sql.Conn
}

func newSession(t testing.TB, db *sql.DB) *session {
	t.Helper()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	// The pool gets no session with changed settings.
	t.Cleanup(func() {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		conn.Close()
	})
	return &session{conn}
}

// query returns the first column of the only row, or NULL.
func (s *session) query(query string, args ...any) (string, error) {
	var out sql.NullString
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := s.QueryRowContext(ctx, query, args...).Scan(&out)
	if err == nil && !out.Valid {
		return "NULL", nil
	}
	return out.String, err
}

// want checks the first column of the only row.
func (s *session) want(t testing.TB, query, want string) {
	t.Helper()
	if got, err := s.query(query); err != nil || got != want {
		t.Errorf("%s = %.200q, %v; want %q", query, got, err, want)
	}
}

// wantState checks the SQLSTATE of an error, and that the session goes on to work.
func (s *session) wantState(t testing.TB, query, state string) {
	t.Helper()
	got, err := s.query(query)
	checkState(t, query, got, err, state)
	s.want(t, "SELECT 1", "1")
}

// wantError checks that a query fails, and that the session goes on to work.
func (s *session) wantError(t testing.TB, query string) {
	t.Helper()
	if got, err := s.query(query); err == nil {
		t.Errorf("%s = %.200q; want an error", query, got)
	}
	s.want(t, "SELECT 1", "1")
}

func checkState(t testing.TB, query, got string, err error, state string) {
	t.Helper()
	var failure *pq.Error
	if !errors.As(err, &failure) || string(failure.Code) != state {
		t.Errorf("%s = %.200q, %v; want an error with SQLSTATE %s", query, got, err, state)
	}
}

func (s *session) exec(t testing.TB, statement string) {
	t.Helper()
	if _, err := s.ExecContext(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// TestPostgres runs the extension in a PostgreSQL server.
func TestPostgres(t *testing.T) {
	p := startPostgres(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *postgres)
	}{
		{"deck with gm serve", testDeckServe},
		{"deck with gearmand", testDeckGearmand},
		{"text and bytea", testTypes},
		{"uniques", testUniques},
		{"large workloads", testLarge},
		{"NULL", testNull},
		{"encodings", testEncodings},
		{"status and results", testStatusResult},
		{"sum", testSum},
		{"servers", testServersSet},
		{"privileges", testPrivileges},
		{"definer's rights", testDefiner},
		{"marks of functions", testMarks},
		{"create, update and drop", testExtension},
		{"dump", testDump},
		{"trigger", testTrigger},
		{"failed jobs", testFailed},
		{"time limits", testTimeLimits},
		{"killed server", testServerKilled},
		{"stopped server", testServerStopped},
		{"fail-over", testFailOver},
		{"interrupts", testInterrupts},
		{"lookup", testLookup},
		{"interrupts of a lookup", testLookupInterrupts},
		{"interrupts of a connection", testConnectInterrupts},
		{"interrupts of a large job", testWriteInterrupts},
		{"interrupts of a handshake", testHandshakeInterrupts},
		{"TLS", testTLS},
		{"certificates of clients", testTLSClient},
		{"lock waits", testLockWait},
		{"notifications", testListen},
		{"many sessions", testSessions},
		{"page", testPagePostgres},
		{"many calls", testManyCalls},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, p) })
	}
}

// deck are the statements that this extension must run word for word.
const deck = `SELECT gman_servers_set('localhost');
SELECT gman_do('reverse', 'Hello World!');
SELECT gman_do_high('reverse', 'Hello World!');
SELECT gman_do_low('reverse', 'Hello World!');
SELECT gman_do_background('reverse', 'Hello World!');
SELECT gman_do_high_background('reverse', 'Hello World!');
SELECT gman_do_low_background('reverse', 'Hello World!');`

func testDeckServe(t *testing.T, p *postgres) {
	s := startJobServer(t)
	testDeck(t, p, s.addr)
}

func testDeckGearmand(t *testing.T, p *postgres) {
	addr := storetest.StartGearmand(t).Addr()
	testDeck(t, p, addr)

	s := newSession(t, p.db)
	s.want(t, "SELECT gman_servers_set('"+addr+"')", addr)
	s.wantState(t, "SELECT gman_do('fail', 'x')", "UG001")
	s.want(t, "SELECT gman_do('pieces')", "abc")
	s.want(t, "SELECT known FROM gman_status('H:none:1')", "false")
	s.want(t, "SELECT gman_result('H:none:1')", "NULL")
	s.want(t, "SELECT gman_sum('length', repeat('x', i)) FROM generate_series(1, 300) AS i", "45150")
	s.want(t, "SELECT gman_do('reverse', w) = reverse(w) FROM (SELECT repeat('abcdefgh', 2097152) AS w) AS large", "true")
}

// testDeck runs the statements in psql. The default port leads to addr.
func testDeck(t *testing.T, p *postgres, addr string) {
	w := startWorker(t, addr)
	statements, servers := deck, "localhost"
	if !forwardDefaultPort(t, addr) {
		t.Logf("port 4730 is in use: the servers are %s", addr)
		servers = addr
		statements = strings.Replace(deck, "localhost", addr, 1)
	}
	lines := strings.Split(p.Query(t, statements), "\n")
	const result = "!dlroW olleH"
	if len(lines) != 8 || lines[0] != servers || lines[1] != result || lines[2] != result || lines[3] != result {
		t.Fatalf("psql prints %q", lines)
	}
	for _, handle := range lines[4:7] {
		if !strings.HasPrefix(handle, "H:") {
			t.Errorf("%q is not a handle", handle)
		}
	}
	eventually(t, "6 jobs are done", func() bool { return w.reversed.Load() == 6 })
}

// forwardDefaultPort makes Gearman's port on loopback lead to addr. It returns
// false if the port is in use.
func forwardDefaultPort(t *testing.T, addr string) bool {
	l, err := net.Listen("tcp", "127.0.0.1:4730")
	if err != nil {
		return false
	}
	forward(t, l, addr)
	return true
}
