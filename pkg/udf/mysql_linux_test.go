package udf_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"gm/pkg/store/storetest"
)

// mysqlSanitize runs TestMySQL with the address sanitizer in the server. It needs gcc.
var mysqlSanitize = flag.Bool("mysql.asan", false, "run the functions of MariaDB with the address sanitizer")

// Numbers of the errors of the functions.
const (
	failedError      = 50001
	timeoutError     = 50002
	noServerError    = 50004
	lostError        = 50005
	protocolError    = 50006
	argumentError    = 1210
	interruptedError = 1317
)

// mysqlServer is a MariaDB server with the functions, a gm serve and a worker.
type mysqlServer struct {
	*storetest.MySQL
	plugins string // the directory of the library
	db      *sql.DB
	jobs    *jobServer
	worker  *worker
}

// startMySQL starts a server whose only plugin is the library, and runs install.sql.
func startMySQL(t testing.TB) *mysqlServer {
	t.Helper()
	dir := installLibrary(t)
	if *mysqlSanitize {
		preloadSanitizer(t)
	}
	jobs := startJobServer(t, "--keep-results", "1h")
	t.Setenv("GEARMAN_SERVERS", jobs.addr)
	m := &mysqlServer{
		MySQL:   storetest.StartMySQL(t, "--plugin-dir="+dir, "--max-allowed-packet=64M"),
		plugins: dir, jobs: jobs, worker: startWorker(t, jobs.addr),
	}
	os.Unsetenv("GEARMAN_SERVERS")
	m.runFile(t, "install.sql")
	m.db = m.openDatabase(t, "root", "")
	return m
}

// openDatabase opens the database as a user until the end of the test.
func (m *mysqlServer) openDatabase(t testing.TB, user, password string) *sql.DB {
	t.Helper()
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = user, password, "tcp", m.Addr()
	config.Logger = &mysql.NopLogger{} // tests kill sessions
	if user == "root" {
		config.DBName = "gm"
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// installLibrary builds the library, and installs it into a directory, which it
// returns.
func installLibrary(t testing.TB) string {
	t.Helper()
	for _, program := range []string{"make", "cc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not there: %v", program, err)
		}
	}
	root := t.TempDir()
	if err := os.Chmod(filepath.Dir(root), 0o755); err != nil { // the server has a user of its own
		t.Fatal(err)
	}
	getent := writeGetent(t, root)
	source := filepath.Join(root, "source")
	for _, dir := range []string{"core", "mysql"} { // go test repeats the test if a file changes
		if err := os.CopyFS(filepath.Join(source, dir), os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("make", "--no-print-directory", "-C", filepath.Join(source, "mysql"), "install",
		"BUILD="+filepath.Join(root, "build"), "DESTDIR="+root, "PLUGIN_DIR=/plugin", "PREFIX=/prefix",
		`CPPFLAGS=-DGMAN_GETENT=\"`+getent+`\"`)
	if *mysqlSanitize {
		build.Args = append(build.Args, "CFLAGS=-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all")
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	for _, name := range []string{"install.sql", "uninstall.sql"} {
		if _, err := os.Stat(filepath.Join(root, "prefix/share/gearman-udf", name)); err != nil {
			t.Error(err)
		}
	}
	return filepath.Join(root, "plugin")
}

// preloadSanitizer has programs load the library of the sanitizer. The leaks are
// those of the server.
func preloadSanitizer(t testing.TB) {
	t.Helper()
	var libraries []string
	for _, name := range []string{"libasan.so", "libubsan.so"} {
		out, err := exec.Command("cc", "-print-file-name="+name).Output()
		if err != nil {
			t.Fatal(err)
		}
		libraries = append(libraries, strings.TrimSpace(string(out)))
	}
	t.Setenv("LD_PRELOAD", strings.Join(libraries, " "))
	t.Setenv("ASAN_OPTIONS", "detect_leaks=0")
}

// runFile runs a file of SQL.
func (m *mysqlServer) runFile(t testing.TB, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("mysql", name))
	if err != nil {
		t.Fatal(err)
	}
	if out := m.Query(t, string(text)); out != "" {
		t.Errorf("%s prints %q", name, out)
	}
}

// change changes a setting of the functions until the end of the test.
func (m *mysqlServer) change(t testing.TB, name, value string) {
	t.Helper()
	var old string
	if err := m.db.QueryRow("SELECT gman_setting(?)", name).Scan(&old); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.set(t, name, old) })
	m.set(t, name, value)
}

func (m *mysqlServer) set(t testing.TB, name, value string) {
	t.Helper()
	if _, err := m.db.Exec("SELECT gman_setting(?, ?)", name, value); err != nil {
		t.Errorf("set %s to %s: %v", name, value, err)
	}
}

// wantNumber checks the number of an error, and that the session goes on to work.
func (s *session) wantNumber(t testing.TB, query string, number int) {
	t.Helper()
	got, err := s.query(query)
	checkNumber(t, query, got, err, number)
	s.want(t, "SELECT 1", "1")
}

func checkNumber(t testing.TB, query, got string, err error, number int) {
	t.Helper()
	var failure *mysql.MySQLError
	if !errors.As(err, &failure) || int(failure.Number) != number {
		t.Errorf("%s = %.200q, %v; want error %d", query, got, err, number)
	}
}

// TestMySQL runs the functions in a MariaDB server.
func TestMySQL(t *testing.T) {
	m := startMySQL(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *mysqlServer)
	}{
		{"deck with gm serve", testMySQLDeckServe},
		{"deck with gearmand", testMySQLDeckGearmand},
		{"arguments", testMySQLArguments},
		{"bytes", testMySQLBytes},
		{"NULL", testMySQLNull},
		{"uniques", testMySQLUniques},
		{"large workloads", testMySQLLarge},
		{"status and results", testMySQLStatusResult},
		{"sum", testMySQLSum},
		{"servers", testMySQLServersSet},
		{"settings", testMySQLSettings},
		{"privileges", testMySQLPrivileges},
		{"trigger", testMySQLTrigger},
		{"failed jobs", testMySQLFailed},
		{"handlers", testMySQLHandlers},
		{"time limits", testMySQLTimeLimits},
		{"killed server", testMySQLServerKilled},
		{"stopped server", testMySQLServerStopped},
		{"fail-over", testMySQLFailOver},
		{"KILL", testMySQLKill},
		{"KILL in all phases", testMySQLKillPhases},
		{"many sessions", testMySQLSessions},
		{"install", testMySQLInstall},
		{"page", testPageMySQL},
		{"many calls", testMySQLCalls},
		{"restart", testMySQLRestart},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, m) })
	}
}

func testMySQLDeckServe(t *testing.T, m *mysqlServer) {
	testMySQLDeck(t, m, startJobServer(t).addr)
}

func testMySQLDeckGearmand(t *testing.T, m *mysqlServer) {
	addr := storetest.StartGearmand(t).Addr()
	testMySQLDeck(t, m, addr)

	s := newSession(t, m.db)
	m.change(t, "servers", addr)
	s.wantNumber(t, "SELECT gman_do('fail', 'x')", failedError)
	s.want(t, "SELECT gman_do('pieces')", "abc")
	s.want(t, "SELECT JSON_VALUE(gman_status('H:none:1'), '$.known')", "0")
	s.want(t, "SELECT gman_result('H:none:1')", "NULL")
	s.want(t, "SELECT gman_sum('length', REPEAT('x', seq)) FROM seq_1_to_300", "45150")
	s.want(t, "SELECT gman_do('reverse', w) = REVERSE(w) FROM (SELECT REPEAT('abcdefgh', 2097152) AS w) AS large", "1")
}

// testMySQLDeck runs the statements in the client mariadb. The default port leads
// to addr.
func testMySQLDeck(t *testing.T, m *mysqlServer, addr string) {
	w := startWorker(t, addr)
	m.change(t, "servers", "localhost")
	statements, servers := deck, "localhost"
	if !forwardDefaultPort(t, addr) {
		t.Logf("port 4730 is in use: the servers are %s", addr)
		servers = addr
		statements = strings.Replace(deck, "localhost", addr, 1)
	}
	lines := strings.Split(m.Query(t, statements), "\n")
	const result = "!dlroW olleH"
	if len(lines) != 8 || lines[0] != servers || lines[1] != result || lines[2] != result || lines[3] != result {
		t.Fatalf("mariadb prints %q", lines)
	}
	for _, handle := range lines[4:7] {
		if !strings.HasPrefix(handle, "H:") {
			t.Errorf("%q is not a handle", handle)
		}
	}
	eventually(t, "6 jobs are done", func() bool { return w.reversed.Load() == 6 })
}

// connectionID returns the number of a session for KILL.
func (s *session) connectionID(t testing.TB) string {
	t.Helper()
	id, err := s.query("SELECT CONNECTION_ID()")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// waitStatement waits until a session runs a statement with a text.
func (m *mysqlServer) waitStatement(t testing.TB, id, text string) {
	t.Helper()
	eventually(t, "the statement runs", func() bool {
		var running int
		err := m.db.QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ? AND INSTR(info, ?)", id, text).Scan(&running)
		return err == nil && running == 1
	})
}

// createSink creates a table for the results of statements.
func (m *mysqlServer) createSink(t testing.TB, s *session) {
	t.Helper()
	s.exec(t, "CREATE TABLE sink (r LONGBLOB)")
	t.Cleanup(func() { m.Query(t, "DROP TABLE sink") })
}

// pid returns the pid of the server's process.
func (m *mysqlServer) pid(t testing.TB) string {
	t.Helper()
	var file string
	if err := m.db.QueryRow("SELECT @@pid_file").Scan(&file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// openSockets returns the number of sockets of the server's process that are
// connected to a port on loopback.
func (m *mysqlServer) openSockets(t testing.TB, addr string) int {
	t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	remote := fmt.Sprintf("0100007F:%04X", number)
	inodes := make(map[string]bool)
	table, err := os.ReadFile(filepath.Join("/proc", m.pid(t), "net/tcp"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 9 && fields[2] == remote {
			inodes["socket:["+fields[9]+"]"] = true
		}
	}
	count := 0
	for _, link := range m.openFiles(t) {
		if inodes[link] {
			count++
		}
	}
	return count
}

// openFiles returns the targets of the descriptors of the server's process.
func (m *mysqlServer) openFiles(t testing.TB) []string {
	t.Helper()
	dir := filepath.Join("/proc", m.pid(t), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		if link, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			files = append(files, link)
		}
	}
	return files
}
