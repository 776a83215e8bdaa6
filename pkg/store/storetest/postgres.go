package storetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Postgres is a PostgreSQL server on loopback, whose one user gm has all
// privileges and needs no password.
type Postgres struct {
	port    int
	dir     string
	bin     string
	account *account
	process *process
}

// StartPostgres starts a server with data of its own. It stops at the end of t.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	program := findProgram(t, "postgresql", []string{"postgres"}, "/usr/lib/postgresql/*/bin")
	p := &Postgres{port: freePort(t), bin: filepath.Dir(program), account: findAccount(t, "postgres", "nobody")}
	p.dir = dirOf(t, p.account)
	runAs(t, p.account, p.dir, filepath.Join(p.bin, "initdb"),
		"-D", p.data(), "-U", "gm", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	p.Start(t)
	t.Cleanup(func() { p.process.stop(syscall.SIGQUIT) })
	return p
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// Addr returns the server's address as host:port.
func (p *Postgres) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// URL returns the URL of the server's only database for a client that reaches
// the server at addr: Addr, or a Proxy's.
func (p *Postgres) URL(addr string) string {
	return "postgres://gm@" + addr + "/postgres?sslmode=disable"
}

// Conninfo returns URL(Addr) in the form of libpq's words.
func (p *Postgres) Conninfo() string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=gm dbname=postgres", p.port)
}

// SocketConninfo is Conninfo for the server's unix socket.
func (p *Postgres) SocketConninfo() string {
	return fmt.Sprintf("host=%s port=%d user=gm dbname=postgres", p.dir, p.port)
}

// Kill kills the server as a crash would, and its other processes, because a
// busy one would go on for a while.
func (p *Postgres) Kill() {
	others := children(p.process.cmd.Process.Pid)
	p.process.stop(syscall.SIGKILL)
	for _, pid := range others {
		if other, err := os.FindProcess(pid); err == nil {
			_ = other.Kill() // most have noticed and have exited
		}
	}
}

// Start starts the server again, on the same port, after Kill.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	log := filepath.Join(p.dir, "log")
	eventually(t, "start of PostgreSQL", func() bool {
		// It refuses to start while a process of the earlier server runs.
		p.process = startProcess(t, p.account, log, filepath.Join(p.bin, "postgres"),
			"-D", p.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-k", p.dir)
		return p.process.becomesReady(p.answers)
	})
}

func (p *Postgres) answers(ctx context.Context) bool {
	return exec.CommandContext(ctx, filepath.Join(p.bin, "pg_isready"),
		"-q", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", "gm", "-d", "postgres").Run() == nil
}

// Query runs SQL and returns the output of psql: a line for each row, with |
// between its fields.
func (p *Postgres) Query(t testing.TB, sql string) string {
	t.Helper()
	return p.QueryIn(t, "postgres", sql)
}

// QueryIn is Query for another database of the server.
func (p *Postgres) QueryIn(t testing.TB, database, sql string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(p.bin, "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql,
		"-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", "gm", "-d", database).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", sql, err, out)
	}
	return string(out)
}
