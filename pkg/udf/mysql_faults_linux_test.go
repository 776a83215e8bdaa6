package udf_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
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

// mysqlCalls is the number of calls of the test of memory and descriptors; -short
// makes a tenth of them.
var mysqlCalls = flag.Int("mysql.calls", 20_000, "calls in one session of MariaDB")

func testMySQLTimeLimits(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	m.change(t, "connect_timeout", "30s")
	m.change(t, "timeout", "200ms")
	m.change(t, "servers", m.jobs.addr)
	s.wantNumber(t, "SELECT gman_do('nobody', 'x')", timeoutError)
	s.wantNumber(t, "SELECT gman_sum('nobody', 'x')", timeoutError)
	m.set(t, "timeout", "10s")
	m.set(t, "connect_timeout", "100ms")
	s.want(t, "SELECT gman_servers_set('"+silentAddr(t)+"', 'echo') <> ''", "1")
	s.wantNumber(t, "SELECT gman_do('echo', 'x')", noServerError)
	s.wantNumber(t, "SELECT gman_do_background('echo', 'x')", noServerError)
	m.set(t, "connect_timeout", "30s")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testMySQLServerKilled(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	jobs := startJobServer(t)
	w := startWorker(t, jobs.addr)
	m.change(t, "servers", m.jobs.addr+"; block="+jobs.addr)
	done := s.start("SELECT gman_do('block', 'x')")
	eventually(t, "the job runs", func() bool { return len(w.blocked) > 0 })
	jobs.signal(t, syscall.SIGKILL)
	a := <-done
	checkNumber(t, "gman_do of a killed server", a.got, a.err, lostError)
	s.wantNumber(t, "SELECT gman_do('block', 'x')", noServerError)
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

func testMySQLServerStopped(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	jobs := startJobServer(t)
	startWorker(t, jobs.addr)
	m.change(t, "servers", jobs.addr)
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
	jobs.stop(t)
	m.change(t, "timeout", "300ms")
	m.change(t, "connect_timeout", "100ms")
	// The kept connection gets the job, unless this machine is slow.
	s.wantError(t, "SELECT gman_do('echo', 'x')")
	// The new connection does not answer.
	s.wantNumber(t, "SELECT gman_do('echo', 'x')", noServerError)
	s.wantNumber(t, "SELECT gman_do_background('echo', 'x')", noServerError)
	jobs.signal(t, syscall.SIGCONT)
	m.set(t, "timeout", "10s")
	m.set(t, "connect_timeout", "30s")
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
}

func testMySQLFailOver(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	stopped := startJobServer(t)
	stopped.stop(t)
	t.Cleanup(func() { stopped.signal(t, syscall.SIGCONT) })
	m.change(t, "connect_timeout", "300ms")
	m.change(t, "servers", fmt.Sprintf("127.0.0.1:1, %s, %s %s", stopped.addr, silentAddr(t), m.jobs.addr))
	for range 3 {
		s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
		s.want(t, "SELECT LEFT(gman_do_background('reverse', 'ab'), 2)", "H:")
	}
}

// endlessCalls has statements of all kinds that wait for a job. DO ignores errors.
var endlessCalls = []string{
	"SELECT gman_do('nobody', 'x')",
	"SELECT gman_do('nobody', seq) FROM seq_1_to_1000",
	"SELECT gman_sum('nobody', seq) FROM seq_1_to_1000",
	"SET @result = gman_do('nobody', 'x')",
	"INSERT INTO sink SELECT gman_do('nobody', seq) FROM seq_1_to_1000",
	"SELECT 1 FROM seq_1_to_1000 WHERE gman_do('nobody', seq) IS NULL ORDER BY seq LIMIT 1",
}

// run starts a statement in another goroutine.
func (s *session) run(statement string) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		rows, err := s.QueryContext(ctx, statement)
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			rows.Close()
		}
		done <- answer{err: err}
	}()
	return done
}

func testMySQLKill(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	m.createSink(t, s)
	m.change(t, "timeout", "0")
	id := s.connectionID(t)
	for _, call := range endlessCalls {
		for _, kill := range []string{"KILL QUERY ", "KILL SOFT QUERY "} {
			done := s.run(call)
			m.waitStatement(t, id, call)
			m.Query(t, kill+id)
			began := time.Now()
			a := <-done
			checkNumber(t, kill+call, "", a.err, interruptedError)
			t.Logf("%s%s ends after %s", kill, call, time.Since(began))
			s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
		}
		s.exec(t, "SET max_statement_time = 0.1")
		a := <-s.run(call)
		checkNumber(t, "max_statement_time of "+call, "", a.err, interruptedError)
		s.exec(t, "SET max_statement_time = 0")
	}
	m.change(t, "on_error", "null")
	done := s.run(endlessCalls[0])
	m.waitStatement(t, id, endlessCalls[0])
	m.Query(t, "KILL QUERY "+id)
	a := <-done
	checkNumber(t, "KILL QUERY with on_error null", "", a.err, interruptedError)

	done = s.run(endlessCalls[0])
	m.waitStatement(t, id, endlessCalls[0])
	m.Query(t, "KILL "+id)
	if a := <-done; a.err == nil {
		t.Error("a statement of a killed session succeeds")
	}
	eventually(t, "the session has ended", func() bool {
		return m.Query(t, "SELECT COUNT(*) FROM information_schema.processlist WHERE id = "+id) == "0\n"
	})
	newSession(t, m.db).want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

// testMySQLKillPhases kills calls that wait for something else than a result.
func testMySQLKillPhases(t *testing.T, m *mysqlServer) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	m.change(t, "servers", fmt.Sprintf("%s; lookup=slow.example; connect=%s; echo=%s; write=%s",
		m.jobs.addr, silentAddr(t), silent.Addr(), startFrozenServer(t)))
	m.change(t, "timeout", "0")
	m.change(t, "connect_timeout", "1h")
	s := newSession(t, m.db)
	id := s.connectionID(t)
	for _, call := range []string{
		"SELECT gman_do('lookup', 'x')", "SELECT gman_do('connect', 'x')", "SELECT gman_do_background('connect', 'x')", "SELECT gman_do('echo', 'x')",
		"SELECT gman_do_background('echo', 'x')", "SELECT gman_do_background('write', REPEAT('x', 33554432))",
	} {
		done := s.run(call)
		m.waitStatement(t, id, call)
		m.Query(t, "KILL QUERY "+id)
		a := <-done
		checkNumber(t, "KILL QUERY of "+call, "", a.err, interruptedError)
		s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	}
	eventually(t, "no process looks up the name", func() bool { return countProcesses(t, "sleep\x003600\x00") == 0 })
	_, port, _ := net.SplitHostPort(m.jobs.addr)
	m.set(t, "servers", "jobs.example:"+port+"; lookup=none.example")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	s.wantNumber(t, "SELECT gman_do('lookup', 'x')", noServerError)
	m.set(t, "servers", "slow.example")
	m.set(t, "connect_timeout", "50ms")
	s.wantNumber(t, "SELECT gman_do('reverse', 'ab')", noServerError)
}

// testMySQLSessions runs jobs in 50 sessions at once.
func testMySQLSessions(t *testing.T, m *mysqlServer) {
	const sessions = 50
	var answers []<-chan answer
	for i := range sessions {
		s := newSession(t, m.db)
		answers = append(answers, s.start(fmt.Sprintf("SELECT COUNT(DISTINCT gman_do('echo', CONCAT('%d-', seq))) FROM seq_1_to_20", i)))
	}
	for i, done := range answers {
		if a := <-done; a.err != nil || a.got != "20" {
			t.Errorf("session %d has %q different results, %v; want 20", i, a.got, a.err)
		}
	}
}

// testMySQLInstall installs and removes the functions, also while one is in use.
func testMySQLInstall(t *testing.T, m *mysqlServer) {
	const functions = "SELECT COUNT(*) FROM mysql.func WHERE dl = 'gearman_udf.so'"
	s := newSession(t, m.db)
	s.want(t, functions, "12")
	m.runFile(t, "install.sql")
	m.runFile(t, "install.sql")
	s.want(t, functions, "12")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	if n := m.openSockets(t, m.jobs.addr); n != 1 {
		t.Errorf("%d connections after a call; want 1", n)
	}
	m.runFile(t, "uninstall.sql")
	s.want(t, functions, "0")
	const unknownFunction = 1305
	s.wantNumber(t, "SELECT gman_do('reverse', 'ab')", unknownFunction)
	m.checkUnloaded(t)
	m.runFile(t, "uninstall.sql")

	m.runFile(t, "install.sql")
	w := startWorker(t, m.jobs.addr)
	done := s.start("SELECT gman_do('block', 'x')")
	eventually(t, "the job runs", func() bool { return len(w.blocked)+len(m.worker.blocked) > 0 })
	m.runFile(t, "uninstall.sql")
	other := newSession(t, m.db)
	other.wantNumber(t, "SELECT gman_do('reverse', 'ab')", unknownFunction)
	m.Query(t, "SELECT CONCAT('KILL QUERY ', id) INTO @kill FROM information_schema.processlist WHERE info LIKE '%block%' AND id <> CONNECTION_ID(); "+
		"EXECUTE IMMEDIATE @kill")
	a := <-done
	checkNumber(t, "a call of removed functions", a.got, a.err, interruptedError)
	m.checkUnloaded(t)
	m.runFile(t, "install.sql")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
}

// checkUnloaded checks that the server has neither the library nor its connections.
func (m *mysqlServer) checkUnloaded(t *testing.T) {
	t.Helper()
	eventually(t, "the library is unloaded", func() bool {
		maps, err := os.ReadFile(filepath.Join("/proc", m.pid(t), "maps"))
		if err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(string(maps), "gearman_udf.so")
	})
	if n := m.openSockets(t, m.jobs.addr); n != 0 {
		t.Errorf("%d connections without the library", n)
	}
}

// residentMemory returns the bytes of memory of the server's process.
func (m *mysqlServer) residentMemory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", m.pid(t), "statm"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// testMySQLCalls measures memory and descriptors of many calls in one session.
func testMySQLCalls(t *testing.T, m *mysqlServer) {
	s := newSession(t, m.db)
	calls := func(n int) {
		s.want(t, fmt.Sprintf("SELECT COUNT(gman_do_background('reverse', seq)) + COUNT(gman_do('echo', REPEAT(seq, 100))) FROM seq_1_to_%d", n/2), strconv.Itoa(n/2*2))
		m.set(t, "timeout", "5ms")
		for range 10 {
			s.wantError(t, "SELECT gman_do('nobody', REPEAT('x', 100000))")
		}
		m.set(t, "timeout", "10s")
	}
	count := *mysqlCalls
	if testing.Short() {
		count /= 10
	}
	calls(count / 10)
	files, memory := len(m.openFiles(t)), m.residentMemory(t)
	for i := range 10 {
		calls(count / 10)
		t.Logf("%d calls: %d files, %d kB", (i+2)*(count/10), len(m.openFiles(t)), m.residentMemory(t)/1024)
	}
	if n := len(m.openFiles(t)); n > files {
		t.Errorf("%d open files after many calls, %d before", n, files)
	}
	const slack = 8 << 20
	if n := m.residentMemory(t); n > memory+slack {
		t.Errorf("%d bytes of memory after %d calls, %d before", n, count, memory)
	}
}

// testMySQLRestart sees that the functions are there after a crash of the server,
// in one with encrypted connections and a pool of threads.
func testMySQLRestart(t *testing.T, m *mysqlServer) {
	library, err := os.ReadFile(filepath.Join(m.plugins, "gearman_udf.so"))
	if err != nil {
		t.Fatal(err)
	}
	hasTLS := bytes.Contains(library, []byte("libssl.so"))
	id := newIdentity(t, "localhost")
	port := startTLSProxy(t, m.jobs.addr, &tls.Config{Certificates: []tls.Certificate{id.pair}})
	environment := map[string]string{"GEARMAN_SERVERS": m.jobs.addr, "GEARMAN_TIMEOUT": "20s", "GEARMAN_CONNECT_TIMEOUT": "20s"}
	if hasTLS {
		environment["GEARMAN_SERVERS"], environment["GEARMAN_TLS"], environment["GEARMAN_TLS_CA"] = "localhost:"+port, "on", id.file
	}
	for name, value := range environment {
		t.Setenv(name, value)
	}
	m.Kill()
	// The pool starts a second thread at once, or after a minute.
	m.AddOptions("--thread-handling=pool-of-threads", "--thread-pool-size=1", "--thread-pool-stall-limit=60000")
	m.Start(t)
	t.Run("TLS", func(t *testing.T) {
		if !hasTLS {
			t.Skip("libssl-dev is not there: the library is without TLS")
		}
		testMySQLTLS(t, m, port)
	})
	t.Run("pool of threads", func(t *testing.T) { testMySQLThreadPool(t, m) })
}

func testMySQLTLS(t *testing.T, m *mysqlServer, port string) {
	s := newSession(t, m.db)
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	s.want(t, "SELECT gman_setting('tls')", "on")
	s.want(t, "SELECT gman_setting('timeout')", "20s")
	m.change(t, "servers", "127.0.0.1:"+port)
	_, err := s.query("SELECT gman_do('reverse', 'ab')")
	checkNumber(t, "gman_do with another name", "", err, noServerError)
	if err != nil && !strings.Contains(err.Error(), "IP address mismatch") {
		t.Errorf("the error is %v", err)
	}
}

// testMySQLThreadPool sees that a call which waits leaves the threads of the pool to
// other sessions.
func testMySQLThreadPool(t *testing.T, m *mysqlServer) {
	waiting, s := newSession(t, m.db), newSession(t, m.db)
	m.change(t, "timeout", "0")
	id := waiting.connectionID(t)
	done := waiting.run("SELECT gman_do('nobody', 'x')")
	m.waitStatement(t, id, "gman_do('nobody'")
	s.want(t, "SELECT gman_do('reverse', 'ab')", "ba")
	m.Query(t, "KILL QUERY "+id)
	a := <-done
	checkNumber(t, "KILL QUERY", "", a.err, interruptedError)
}
