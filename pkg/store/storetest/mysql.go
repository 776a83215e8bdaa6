package storetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// MySQL is a MariaDB server on loopback, with a database gm and a user gm with
// the password secret and all privileges in it. Its character set is Debian's
// default.
type MySQL struct {
	port    int
	dir     string
	program string
	options []string // in addition to the common ones
	account *account
	process *process
}

// StartMySQL starts a server with its own data and its own directory for
// temporary tables, because a starting server removes all temporary tables that
// it finds there. The options are in addition to those of the package. It stops at the
// end of t.
func StartMySQL(t testing.TB, options ...string) *MySQL {
	t.Helper()
	m := newMySQL(t)
	m.options = options
	m.Start(t)
	t.Cleanup(func() { m.process.stop(syscall.SIGKILL) })
	return m
}

// newMySQL creates the data of a server.
func newMySQL(t testing.TB) *MySQL {
	t.Helper()
	m := &MySQL{
		port:    freePort(t),
		program: findProgram(t, "mariadb-server", []string{"mariadbd"}, "/usr/sbin"),
		account: findAccount(t, "mysql", "nobody"),
	}
	install := findProgram(t, "mariadb-server", []string{"mariadb-install-db"}, "/usr/bin")
	m.dir = dirOf(t, m.account)
	runAs(t, m.account, m.dir, install, "--no-defaults", "--datadir="+m.data(), "--tmpdir="+m.dir, "--skip-test-db",
		"--auth-root-authentication-method=normal", "--skip-name-resolve")
	m.writeInit(t)
	return m
}

// writeInit writes the SQL that the server runs at its start.
func (m *MySQL) writeInit(t testing.TB) {
	t.Helper()
	sql := "CREATE DATABASE IF NOT EXISTS gm;\n" +
		"CREATE USER IF NOT EXISTS gm@'%' IDENTIFIED BY 'secret';\n" +
		"GRANT ALL ON gm.* TO gm@'%';\n"
	if err := os.WriteFile(filepath.Join(m.dir, "init.sql"), []byte(sql), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (m *MySQL) data() string { return filepath.Join(m.dir, "data") }

// Addr returns the server's address as host:port.
func (m *MySQL) Addr() string { return fmt.Sprintf("127.0.0.1:%d", m.port) }

// Port returns the port of Addr.
func (m *MySQL) Port() int { return m.port }

// URL returns the URL of the database gm for a client that reaches the server
// at addr: Addr, or a Proxy's.
func (m *MySQL) URL(addr string) string { return "mysql://gm:secret@" + addr + "/gm" }

// Kill kills the server as a crash would.
func (m *MySQL) Kill() { m.process.stop(syscall.SIGKILL) }

// AddOptions adds command-line options of mariadbd for the next Start.
func (m *MySQL) AddOptions(options ...string) { m.options = append(m.options, options...) }

// Start starts the server again, on the same port, after Kill.
func (m *MySQL) Start(t testing.TB) {
	t.Helper()
	log := filepath.Join(m.dir, "log")
	args := []string{
		"--no-defaults",
		"--datadir=" + m.data(), "--tmpdir=" + m.dir, "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(m.port),
		"--socket=" + filepath.Join(m.dir, "socket"), "--pid-file=" + filepath.Join(m.dir, "pid"),
		"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
		"--init-file=" + filepath.Join(m.dir, "init.sql"), "--skip-name-resolve",
	}
	m.process = startProcess(t, m.account, log, m.program, append(args, m.options...)...)
	m.process.waitReady(t, log, m.greets)
}

// greets reports whether the server sends its greeting.
func (m *MySQL) greets(ctx context.Context) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", m.Addr())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	n, _ := conn.Read(make([]byte, 1))
	return n == 1
}

// Query runs SQL in the database gm, as root, and returns the output of the
// client: a line for each row, with tabs between its fields.
func (m *MySQL) Query(t testing.TB, sql string) string {
	t.Helper()
	return m.QueryIn(t, "gm", sql)
}

// QueryIn is Query for another database of the server.
func (m *MySQL) QueryIn(t testing.TB, database, sql string) string {
	t.Helper()
	out, err := exec.Command("mariadb", "--no-defaults", "--default-character-set=utf8mb4", "-h", "127.0.0.1", "-P", strconv.Itoa(m.port),
		"-u", "root", "-N", "-B", "-e", sql, database).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", sql, err, out)
	}
	return string(out)
}
