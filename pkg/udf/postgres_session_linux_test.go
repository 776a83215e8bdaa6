package udf_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
)

var (
	postgresCalls = flag.Int("postgres.calls", 20_000, "TestPostgres: how many jobs one session runs while its memory is measured; with -short a quarter of them")
	postgresLatch = flag.Int("postgres.latch", 3, "TestPostgres: how many sessions wait for locks and notifications after they have used the functions")
)

// useFunctions calls functions with and without success: exec runs a statement of
// the session.
func useFunctions(t *testing.T, exec func(query string) error) {
	t.Helper()
	for _, query := range []string{
		"SET gearman.timeout = '20ms'",
		// A lost wake-up of the session must not be found by the check for deadlocks.
		"SET deadlock_timeout = '1h'",
		"SELECT gman_do('nobody', 'x')",
		"RESET gearman.timeout",
		"SELECT gman_do('echo', 'x')",
		"SELECT gman_do('fail', 'x')",
		"SELECT gman_sum('length', i::text) FROM generate_series(1, 100) AS i",
	} {
		err := exec(query)
		if fails := query == "SELECT gman_do('nobody', 'x')" || query == "SELECT gman_do('fail', 'x')"; (err != nil) != fails {
			t.Fatalf("%s: %v", query, err)
		}
	}
}

// testLockWait sees that a session which has used the functions is woken when it
// gets a lock.
func testLockWait(t *testing.T, p *postgres) {
	holder := newSession(t, p.db)
	for range *postgresLatch {
		s := newSession(t, p.db)
		pid := s.pid(t)
		for range 3 {
			useFunctions(t, func(query string) error {
				_, err := s.ExecContext(t.Context(), query)
				return err
			})
			holder.want(t, "SELECT pg_advisory_lock(7)::text", "")
			done := s.start("SELECT pg_advisory_lock(7)::text || pg_advisory_unlock(7)::text")
			waitEvent(t, holder, pid, "Lock")
			holder.want(t, "SELECT pg_advisory_unlock(7)", "true")
			if a := <-done; a.err != nil {
				t.Fatal(a.err)
			}
		}
	}
}

// testListen sees that a session which has used the functions is woken by a
// notification: while it waits for its client, and while it waits for a job.
func testListen(t *testing.T, p *postgres) {
	sender := newSession(t, p.db)
	for round := range *postgresLatch {
		received := make(chan *pq.Notification, 10)
		s, err := pq.NewListenerConn(p.URL(p.Addr()), received)
		if err != nil {
			t.Fatal(err)
		}
		exec := func(query string) error {
			_, err := s.ExecSimpleQuery(query)
			return err
		}
		for _, query := range []string{"LISTEN images", fmt.Sprintf("SET application_name = 'listener %d'", round)} {
			if err := exec(query); err != nil {
				t.Fatal(err)
			}
		}
		useFunctions(t, exec)
		sender.exec(t, "NOTIFY images, 'idle'")
		wantNotification(t, received, "idle")

		if err := exec("SET gearman.timeout = 0"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- exec("SELECT gman_do('nobody', 'x')") }()
		text, err := sender.query("SELECT pid FROM pg_stat_activity WHERE application_name = $1", fmt.Sprintf("listener %d", round))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		waitEvent(t, sender, pid, "Extension")
		sender.exec(t, "NOTIFY images, 'busy'")
		sender.want(t, fmt.Sprintf("SELECT pg_cancel_backend(%d)", pid), "true")
		checkState(t, "a cancelled gman_do", "", <-done, "57014")
		wantNotification(t, received, "busy")
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func wantNotification(t *testing.T, received <-chan *pq.Notification, want string) {
	t.Helper()
	select {
	case n := <-received:
		if n == nil || n.Extra != want {
			t.Errorf("the notification is %v; want %s", n, want)
		}
	case <-time.After(patience):
		t.Fatalf("no notification %s after %s", want, patience)
	}
}

// testManyCalls measures the memory and the open files of a session.
func testManyCalls(t *testing.T, p *postgres) {
	s := newSession(t, p.db)
	jobs := startJobServer(t)
	startWorker(t, jobs.addr)
	s.exec(t, "SET gearman.servers = '"+jobs.addr+"'; SET client_min_messages = error; SET gearman.on_error = 'null'")
	pid := s.pid(t)
	files, first := 0, 0
	calls := *postgresCalls
	if testing.Short() {
		calls /= 4
	}
	report := max(calls/10, 1000)
	for n := 0; n < calls; n += 1000 {
		runThousandJobs(t, s)
		switch memory := privateMemory(t, pid); {
		case n+1000 == report:
			files, first = openFiles(t, pid), memory
			fallthrough
		case (n+1000)%report == 0:
			t.Logf("%d jobs: %d kB of memory, %d open files", n+1000, memory, openFiles(t, pid))
		}
	}
	// Blocks that malloc keeps for itself make some difference.
	if last := privateMemory(t, pid); last > first+512 {
		t.Errorf("the session has %d kB of memory after %d jobs, %d kB after the first %d", last, calls, first, report)
	}
	sockets := countSockets(t, pid)
	if last := openFiles(t, pid); last != files {
		t.Errorf("%d open files after %d jobs, %d after the first %d", last, calls, files, report)
	}
	s.exec(t, "SET gearman.servers = '127.0.0.1:1'")
	s.want(t, "SELECT gman_do('echo', 'x')", "NULL")
	if last := countSockets(t, pid); last != sockets-1 {
		t.Errorf("%d sockets after the servers have changed, %d before; want one less", last, sockets)
	}
}

// runThousandJobs runs jobs of all kinds: those that succeed, fail, end with the
// time limit, and are asked for.
func runThousandJobs(t *testing.T, s *session) {
	t.Helper()
	s.want(t, "SELECT count(gman_do('echo', i::text)) FROM generate_series(1, 400) AS i", "400")
	s.want(t, "SELECT count(gman_do_background('echo', i::text, 'u' || i)) FROM generate_series(1, 300) AS i", "300")
	s.want(t, "SELECT gman_sum('length', repeat('x', i)) FROM generate_series(1, 200) AS i", "20100")
	s.want(t, "SELECT count(gman_do('fail', i::text)) FROM generate_series(1, 49) AS i", "0")
	s.want(t, "SELECT count((gman_status('H:none:' || i)).known) FROM generate_series(1, 25) AS i", "25")
	s.want(t, "SELECT count(gman_result('H:none:' || i)) FROM generate_series(1, 25) AS i", "0")
	s.exec(t, "SET gearman.timeout = '3ms'")
	s.want(t, "SELECT gman_do('nobody')", "NULL")
	s.exec(t, "RESET gearman.timeout")
	s.want(t, "SELECT gman_do('echo', 'x')", "x")
}

// privateMemory returns the kB of memory that a process does not share.
func privateMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`RssAnon:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no RssAnon in the status of process %d", pid)
	}
	kB, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kB
}

func openFiles(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func countSockets(t *testing.T, pid int) int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil && strings.HasPrefix(to, "socket:") {
			count++
		}
	}
	return count
}
