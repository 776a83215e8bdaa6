package systest

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"gm/pkg/gearman"
	"gm/pkg/outbox"
	"gm/pkg/store/storetest"
)

var outboxRounds = flag.Int("outbox.rounds", 1, "how often TestOutbox kills the relay, the server and the database; with 5, it has 50 sessions and 20,000 rows")

// TestOutbox lets many sessions add rows to an outbox and rolls a third of them back,
// while the relay, the server and the database are killed. Each row that was committed
// becomes one job, and the jobs of a session are in their order. Then quick workers do
// the jobs of more rows, while two relays and the database are killed and the server is
// a third relay. The job of each row runs once.
//
//	go test ./cmd/systest -run TestOutbox -outbox.rounds=5 -v
func TestOutbox(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		s := storetest.StartPostgres(t)
		testOutboxRig(t, &outboxRig{url: s.URL(s.Addr()), driver: "postgres", dsn: s.URL(s.Addr()), kill: s.Kill, start: s.Start})
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		s := storetest.StartMySQL(t)
		_ = mysql.SetLogger(&mysql.NopLogger{}) // lost connections belong to the test
		testOutboxRig(t, &outboxRig{url: s.URL(s.Addr()), driver: "mysql", dsn: "gm:secret@tcp(" + s.Addr() + ")/gm", kill: s.Kill, start: s.Start})
	})
}

// outboxRig is a database with an outbox, and the table ledger with the rows that were
// committed.
type outboxRig struct {
	url, driver, dsn string
	kill             func()
	start            func(t testing.TB)

	pool *sql.DB
}

// outboxSize returns the numbers of sessions and of transactions of each.
func outboxSize() (sessions, rows int) {
	if *outboxRounds > 1 {
		return 50, 20000 / 50 / *outboxRounds
	}
	return 8, 30
}

func testOutboxRig(t *testing.T, r *outboxRig) {
	var err error
	if r.pool, err = sql.Open(r.driver, r.dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.pool.Close() })
	db, err := outbox.Open(r.url, outbox.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := r.pool.Exec("CREATE TABLE ledger (session INT NOT NULL, id BIGINT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	testOutboxOrder(t, r)
	if t.Failed() {
		return
	}
	if _, err := r.pool.Exec("DELETE FROM ledger"); err != nil {
		t.Fatal(err)
	}
	testOutboxOnce(t, r)
}

func testOutboxOrder(t *testing.T, r *outboxRig) {
	sessions, rows := outboxSize()
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	g := newGMServer(t, "--data", filepath.Join(t.TempDir(), "queue"), "-p", strconv.Itoa(port))
	lf := g.start()
	relay := r.startRelay(t, port)
	for range *outboxRounds {
		var done sync.WaitGroup
		for session := range sessions {
			done.Go(func() { r.addRows(t, session, rows) })
		}
		pause(t, time.Duration(rand.IntN(200))*time.Millisecond)
		relay.stop()
		relay = r.startRelay(t, port)
		pause(t, time.Duration(rand.IntN(200))*time.Millisecond)
		g.end(lf, syscall.SIGKILL)
		lf = g.start()
		pause(t, time.Duration(rand.IntN(200))*time.Millisecond)
		r.kill()
		r.start(t)
		done.Wait()
	}
	r.waitEmpty(t)
	relay.stop()
	r.check(t, lf.addr, sessions)
}

func (r *outboxRig) waitEmpty(t *testing.T) {
	t.Helper()
	waitFor(t, "an empty outbox", func() bool {
		left := 1
		err := r.pool.QueryRow("SELECT COUNT(*) FROM gearman_outbox").Scan(&left)
		return err == nil && left == 0
	})
}

func testOutboxOnce(t *testing.T, r *outboxRig) {
	sessions, rows := outboxSize()
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	g := newGMServer(t, "--data", filepath.Join(t.TempDir(), "queue"), "-p", strconv.Itoa(port), "--outbox", r.url)
	server := gearman.Server{Network: "tcp", Addr: g.start().addr}
	runs := countRuns(t, server)
	relays := []*relayProcess{r.startRelay(t, port), r.startRelay(t, port)}
	for range *outboxRounds {
		var done sync.WaitGroup
		for session := range sessions {
			done.Go(func() { r.addRows(t, session, rows) })
		}
		for i := range relays {
			pause(t, time.Duration(rand.IntN(100))*time.Millisecond)
			relays[i].stop()
			relays[i] = r.startRelay(t, port)
		}
		pause(t, time.Duration(rand.IntN(100))*time.Millisecond)
		r.kill()
		r.start(t)
		done.Wait()
	}
	r.waitEmpty(t)
	client, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{server}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Do(t.Context(), &gearman.Task{Function: "f", Priority: gearman.Low, Payload: []byte("last")}); err != nil {
		t.Fatal(err)
	}
	owner, _ := r.readLedger(t, sessions)
	runs.mu.Lock()
	defer runs.mu.Unlock()
	for id := range owner {
		if n := runs.byRow[id]; n != 1 {
			t.Errorf("the job of row %d has run %d times", id, n)
		}
	}
	for id := range runs.byRow {
		if _, ok := owner[id]; !ok {
			t.Errorf("a job has run for row %d, and no such row was committed", id)
		}
	}
	t.Logf("%d committed rows with workers, %d kills of each relay and of the database", len(owner), *outboxRounds)
}

// rowRuns counts how often the jobs of rows have run.
type rowRuns struct {
	mu    sync.Mutex
	byRow map[int64]int
}

// countRuns starts a worker that does one job after the other.
func countRuns(t *testing.T, server gearman.Server) *rowRuns {
	t.Helper()
	runs := &rowRuns{byRow: map[int64]int{}}
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: []gearman.Server{server}}})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Handle("f", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		if string(j.Payload()) == "last" {
			return nil, nil
		}
		id, err := rowOf(j.Unique())
		if err != nil {
			t.Error(err)
		}
		runs.mu.Lock()
		defer runs.mu.Unlock()
		runs.byRow[id]++
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return runs
}

// rowOf returns the id of a row in its unique, outbox:TOKEN:ID:TIME.
func rowOf(unique string) (int64, error) {
	parts := strings.Split(unique, ":")
	if len(parts) != 4 {
		return 0, fmt.Errorf("unique %q: not that of a row", unique)
	}
	return strconv.ParseInt(parts[2], 10, 64)
}

// relayProcess is a process of gm outbox run.
type relayProcess struct{ cmd *exec.Cmd }

func (r *outboxRig) startRelay(t *testing.T, port int) *relayProcess {
	t.Helper()
	p := &relayProcess{exec.Command("gm", "outbox", "run", "--batch", "50", "-s", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), r.url)}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

// stop kills the process. A second call does nothing.
func (p *relayProcess) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// addRows adds rows in a transaction each, and rolls every third one back. It repeats a
// transaction that fails.
func (r *outboxRig) addRows(t *testing.T, session, rows int) {
	limit := time.Now().Add(patience)
	for n := 0; n < rows; {
		if err := r.addRow(session, n%3 == 0); err == nil {
			n++
		} else if time.Now().After(limit) {
			t.Errorf("session %d: row %d: %v", session, n, err)
			return
		}
	}
}

func (r *outboxRig) addRow(session int, rollBack bool) error {
	tx, err := r.pool.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after the commit
	var id int64
	if err := tx.QueryRow("INSERT INTO gearman_outbox (function, workload) VALUES ('f', '" + strconv.Itoa(session) + "') RETURNING id").Scan(&id); err != nil {
		return err
	}
	if _, err := tx.Exec(fmt.Sprintf("INSERT INTO ledger VALUES (%d, %d)", session, id)); err != nil {
		return err
	}
	if rollBack {
		return tx.Rollback()
	}
	return tx.Commit()
}

// readLedger returns the sessions of the committed rows by their ids, and the ids of the
// rows of each session.
func (r *outboxRig) readLedger(t *testing.T, sessions int) (owner map[int64]int, ids [][]int64) {
	t.Helper()
	owner, ids = map[int64]int{}, make([][]int64, sessions)
	found, err := r.pool.Query("SELECT session, id FROM ledger ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var session int
		var id int64
		if err := found.Scan(&session, &id); err != nil {
			t.Fatal(err)
		}
		owner[id] = session
		ids[session] = append(ids[session], id)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return owner, ids
}

// check compares the jobs of the server with the ledger.
func (r *outboxRig) check(t *testing.T, addr string, sessions int) {
	t.Helper()
	owner, want := r.readLedger(t, sessions)
	admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: addr}, gearman.Options{})
	defer admin.Close()
	got := make([][]int64, sessions)
	err := admin.EachJob(t.Context(), "f", "", 0, "", func(j gearman.JobDetails) error {
		id, err := rowOf(j.Unique)
		session, ok := owner[id]
		if err != nil || !ok {
			t.Errorf("there is a job %q, and no such row was committed", j.Unique)
			return nil
		}
		got[session] = append(got[session], id)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for session := range sessions {
		if !slices.Equal(got[session], want[session]) {
			t.Errorf("session %d: got %d jobs %v, want %d jobs %v", session, len(got[session]), got[session], len(want[session]), want[session])
		}
	}
	t.Logf("%d sessions, %d committed rows, %d kills of each program", sessions, len(owner), *outboxRounds)
}
