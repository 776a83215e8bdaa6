package udf_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// answer is the outcome of a query in another goroutine.
type answer struct {
	got string
	err error
}

// start runs a query in another goroutine.
func (s *session) start(query string) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		got, err := s.query(query)
		done <- answer{got, err}
	}()
	return done
}

func (s *session) pid(t testing.TB) int {
	t.Helper()
	text, err := s.query("SELECT pg_backend_pid()")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func testTimeLimits(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.exec(t, "SET gearman.connect_timeout = '30s'; SET gearman.timeout = '300ms'")
	s.wantState(t, "SELECT gman_do('nobody', 'x')", "UG002")
	s.wantState(t, "SELECT gman_sum('nobody', 'x')", "UG002")
	s.exec(t, "RESET gearman.timeout; SET gearman.connect_timeout = '100ms'")
	s.want(t, "SELECT gman_servers_set('"+silentAddr(t)+"', 'echo') <> ''", "true")
	s.wantState(t, "SELECT gman_do('echo', 'x')", "08001")
	s.wantState(t, "SELECT gman_do_background('echo', 'x')", "08001")
	s.exec(t, "SET gearman.on_error = 'null'")
	s.want(t, "SELECT gman_do('echo', 'x')", "NULL")
	s.exec(t, "SET gearman.connect_timeout = '30s'")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testServerKilled(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	jobs := startJobServer(t)
	w := startWorker(t, jobs.addr)
	s.want(t, "SELECT gman_servers_set('"+jobs.addr+"', 'block') <> ''", "true")
	done := s.start("SELECT gman_do('block', 'x')")
	eventually(t, "the job runs", func() bool { return len(w.blocked) > 0 })
	jobs.signal(t, syscall.SIGKILL)
	a := <-done
	checkState(t, "gman_do of a killed server", a.got, a.err, "08006")
	s.wantState(t, "SELECT gman_do('block', 'x')", "08001")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testServerStopped(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	jobs := startJobServer(t)
	startWorker(t, jobs.addr)
	s.want(t, "SELECT gman_servers_set('"+jobs.addr+"', 'echo') <> ''", "true")
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
	jobs.stop(t)
	s.exec(t, "SET gearman.timeout = '300ms'; SET gearman.connect_timeout = '100ms'")
	// The kept connection gets the job, unless this machine is slow.
	s.wantError(t, "SELECT gman_do('echo', 'x')")
	// The new connection does not answer.
	s.wantState(t, "SELECT gman_do('echo', 'x')", "08001")
	s.wantState(t, "SELECT gman_do_background('echo', 'x')", "08001")
	jobs.signal(t, syscall.SIGCONT)
	s.exec(t, "RESET gearman.timeout; SET gearman.connect_timeout = '30s'")
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
}

func testFailOver(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	stopped := startJobServer(t)
	stopped.stop(t)
	t.Cleanup(func() { stopped.signal(t, syscall.SIGCONT) })
	s.exec(t, "SET gearman.connect_timeout = '600ms'")
	s.want(t, fmt.Sprintf("SELECT gman_servers_set('127.0.0.1:1, %s, %s %s') <> ''", stopped.addr, silentAddr(t), p.jobs.addr), "true")
	for range 3 {
		s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
		s.want(t, "SELECT left(gman_do_background('reverse', 'ab'), 2)", "H:")
	}
}

// checkInterrupts makes an endless call in a session, and ends it with each
// interrupt of a session: the limit of statements, a cancelled statement, and the
// end of the session.
func checkInterrupts(t *testing.T, p *postgres, s *session, call string) {
	t.Helper()
	admin := newSession(t, p.db)
	s.exec(t, "SET gearman.connect_timeout = '1h'; SET gearman.timeout = 0; SET statement_timeout = '100ms'")
	s.wantState(t, call, "57014")
	s.exec(t, "SET statement_timeout = 0")
	pid := s.pid(t)
	interrupt := func(function string) answer {
		done := s.start(call)
		waitEvent(t, admin, pid, "Extension")
		admin.want(t, fmt.Sprintf("SELECT %s(%d)", function, pid), "true")
		began := time.Now()
		a := <-done
		t.Logf("%s ends the call after %s", function, time.Since(began))
		return a
	}
	for _, mode := range []string{"error", "null"} {
		s.exec(t, "SET gearman.on_error = '"+mode+"'")
		a := interrupt("pg_cancel_backend")
		checkState(t, "a cancelled "+call, a.got, a.err, "57014")
		s.want(t, "SELECT 1", "1")
	}
	if a := interrupt("pg_terminate_backend"); a.err == nil {
		t.Errorf("a terminated %s = %q", call, a.got)
	}
	eventually(t, "the session has ended", func() bool {
		got, err := admin.query("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", pid)
		return err == nil && got == "0"
	})
}

func testInterrupts(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.exec(t, "SET gearman.timeout = 0; SET statement_timeout = '100ms'")
	s.wantState(t, "SELECT gman_sum('nobody', i::text) FROM generate_series(1, 300) AS i", "57014")
	s.exec(t, "SET statement_timeout = 0")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	checkInterrupts(t, p, s, "SELECT gman_do('nobody', 'x')")
	newSession(t, p.db).want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testLookup(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	_, port, err := net.SplitHostPort(p.jobs.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(t, "SET gearman.servers = 'jobs.example:"+port+"'; SET gearman.connect_timeout = '20s'")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	s.exec(t, "SET gearman.servers = 'none.example:"+port+", jobs.example:"+port+"'")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testLookupInterrupts(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.exec(t, "SET gearman.servers = 'slow.example'; SET gearman.connect_timeout = '50ms'")
	got, err := s.query("SELECT gman_do('reverse', 'ab')")
	checkState(t, "a lookup without an answer", got, err, "08001")
	if err != nil && !strings.Contains(err.Error(), "look up slow.example: no answer within the connect limit") {
		t.Errorf("the error is %v", err)
	}
	checkInterrupts(t, p, s, "SELECT gman_do('reverse', 'ab')")
	eventually(t, "no process looks up the name", func() bool { return countProcesses(t, "sleep\x003600\x00") == 0 })
}

// countProcesses returns the number of processes with a command line.
func countProcesses(t *testing.T, line string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d processes: %v", len(files), err)
	}
	count := 0
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && string(text) == line {
			count++
		}
	}
	return count
}

func testConnectInterrupts(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.exec(t, "SET gearman.servers = '"+silentAddr(t)+"'")
	checkInterrupts(t, p, s, "SELECT gman_do('reverse', 'ab')")
}

// testWriteInterrupts sends 16 MB to a server that answers ECHO_REQ and then reads
// nothing.
func testWriteInterrupts(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	s.exec(t, "SET gearman.servers = '"+startFrozenServer(t)+"'")
	checkInterrupts(t, p, s, "SELECT gman_do('reverse', repeat('x', 16777216))")
}

// waitEvent waits until the process of a session waits for an event.
func waitEvent(t *testing.T, admin *session, pid int, event string) {
	t.Helper()
	eventually(t, "the session waits", func() bool {
		got, err := admin.query("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", pid)
		return err == nil && got == event
	})
}

// testSessions runs jobs in 50 sessions at once.
func testSessions(t *testing.T, p *postgres) {
	const sessions = 50
	var answers []<-chan answer
	for i := range sessions {
		s := newSession(t, p.db)
		answers = append(answers, s.start(fmt.Sprintf("SELECT count(DISTINCT gman_do('echo', '%d-' || i)) FROM generate_series(1, 20) AS i", i)))
	}
	for i, done := range answers {
		if a := <-done; a.err != nil || a.got != "20" {
			t.Errorf("session %d has %q different results, %v; want 20", i, a.got, a.err)
		}
	}
}
