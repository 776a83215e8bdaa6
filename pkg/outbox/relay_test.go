package outbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store/storetest"
)

// jobServer is a job server in this process.
type jobServer struct {
	*server.Server
	addr string
}

// startServer starts a job server, at addr unless that is empty.
func startServer(t testing.TB, addr string, c server.Config) *jobServer {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Logger = slog.New(slog.DiscardHandler)
	s, err := server.New(c)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { s.Close() })
	return &jobServer{s, listener.Addr().String()}
}

// newRelay returns a relay to a job server, with short waits.
func newRelay(t testing.TB, db *DB, addr string) *Relay {
	t.Helper()
	client, err := gearman.NewClient(gearman.Options{
		Servers:    []gearman.Server{{Network: "tcp", Addr: addr}},
		MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return &Relay{
		DB: db, Client: client, MinPoll: time.Millisecond, MaxPoll: 5 * time.Millisecond,
		MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}
}

// run runs a relay until stop is called or the test ends. stop returns when Run has.
func run(t testing.TB, r *Relay) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	return stop
}

// collector is a worker that notes the payloads of its jobs.
type collector struct {
	mu   sync.Mutex
	jobs []string
	more chan struct{}
}

// startCollector starts a worker for functions.
func startCollector(t testing.TB, addr string, functions ...string) *collector {
	t.Helper()
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{
		Servers:    []gearman.Server{{Network: "tcp", Addr: addr}},
		MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{more: make(chan struct{}, 1)}
	for _, function := range functions {
		err := w.Handle(function, func(_ context.Context, j *gearman.Job) ([]byte, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.jobs = append(c.jobs, string(j.Payload()))
			select {
			case c.more <- struct{}{}:
			default:
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() { cancel(); done.Wait() })
	return c
}

// wait returns the payloads when there are n.
func (c *collector) wait(t testing.TB, n int) []string {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		c.mu.Lock()
		jobs := slices.Clone(c.jobs)
		c.mu.Unlock()
		if len(jobs) >= n {
			return jobs
		}
		select {
		case <-c.more:
		case <-limit:
			t.Fatalf("%d of %d jobs have arrived", len(jobs), n)
		}
	}
}

// insert adds rows with the workloads prefix-first to prefix-last in one transaction.
func insert(t testing.TB, db *DB, function, prefix string, first, last int) {
	t.Helper()
	if _, err := db.pool.Exec(insertText(db, function, prefix, first, last)); err != nil {
		t.Fatal(err)
	}
}

func insertText(db *DB, function, prefix string, first, last int) string {
	var values []string
	for i := first; i <= last; i++ {
		values = append(values, fmt.Sprintf("('%s', '%s-%d')", function, prefix, i))
	}
	return "INSERT INTO " + db.table.sql() + " (" + db.table.dialect.identifier("function") + ", workload) VALUES " + strings.Join(values, ", ")
}

// waitEmpty waits until the outbox has only dead rows.
func waitEmpty(t testing.TB, db *DB, r *Relay) {
	t.Helper()
	waitFor(t, "an empty outbox", r, func() bool {
		var n int
		err := db.pool.QueryRow("SELECT COUNT(*) FROM " + db.table.sql() + " WHERE dead IS NULL").Scan(&n)
		return err == nil && n == 0
	})
}

// waitFor waits until f returns true.
func waitFor(t testing.TB, what string, r *Relay, f func() bool) {
	t.Helper()
	limit := time.Now().Add(time.Minute)
	for !f() {
		if time.Now().After(limit) {
			t.Fatalf("no %s after a minute: %+v", what, r.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}

// TestRolledBack lets sessions add rows, of which some are rolled back. The others arrive
// once, and those of a session in their order.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		worker := startCollector(t, s.addr, "f")
		r := newRelay(t, db, s.addr)
		r.BatchRows = 7
		run(t, r)
		const sessions, transactions = 4, 30
		var done sync.WaitGroup
		for session := range sessions {
			done.Go(func() {
				for n := range transactions {
					tx, err := db.pool.Begin()
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := tx.Exec(insertText(db, "f", fmt.Sprint(session), n, n)); err != nil {
						t.Error(err)
					}
					if n%3 == 0 {
						err = tx.Rollback()
					} else {
						err = tx.Commit()
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		done.Wait()
		jobs := worker.wait(t, sessions*transactions*2/3)
		for session := range sessions {
			var want []string
			for n := range transactions {
				if n%3 != 0 {
					want = append(want, fmt.Sprintf("%d-%d", session, n))
				}
			}
			var got []string
			for _, job := range jobs {
				if strings.HasPrefix(job, fmt.Sprintf("%d-", session)) {
					got = append(got, job)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("session %d: got %q, want %q", session, got, want)
			}
		}
		waitEmpty(t, db, r)
	})
}

// TestFields submits a row with each field, and a workload that is read on its own.
func TestFields(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		large := bytes.Repeat([]byte("x"), 3*inlineSize)
		insert := "INSERT INTO gearman_outbox (" + d.dialect.identifier("function") + ", workload, unique_key, priority, run_at) VALUES "
		d.query(t, insert+"('f', '"+string(large)+"', NULL, 1, '2000-01-01'), ('f', '', 'key', 0, '2040-01-02 03:04:05')")
		r := newRelay(t, db, s.addr)
		r.BatchBytes = inlineSize
		run(t, r)
		waitEmpty(t, db, r)
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		got, err := admin.Jobs(t.Context(), "f", "", 0)
		if err != nil || len(got) != 2 {
			t.Fatalf("got %+v, %v, want 2 jobs", got, err)
		}
		token, _ := db.readToken(t.Context())
		first, second := got[0], got[1]
		if first.Unique != "outbox:"+token+":1" || first.Priority != "high" || first.State != gearman.StateWaiting || first.Size != len(large) {
			t.Errorf("the first job is %+v", first)
		}
		if second.Unique != "key" || second.State != gearman.StateDelayed || second.RunAtMS != 2209086245000 {
			t.Errorf("the second job is %+v", second)
		}
		var payload bytes.Buffer
		if _, err := admin.JobPayload(t.Context(), first.Handle, &payload); err != nil || !bytes.Equal(payload.Bytes(), large) {
			t.Errorf("the payload has %d bytes, %v", payload.Len(), err)
		}
		waitFor(t, "count of both rows", r, func() bool { return r.Stats().Sent == 2 })
		if stats := r.Stats(); stats.Batches != 2 {
			t.Errorf("got %+v, want 2 batches, because of the bytes", stats)
		}
	})
}

// TestDeadRows has rows that no server accepts between two that it does.
func TestDeadRows(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		insert(t, db, "f", "a", 1, 1)
		d.query(t, "INSERT INTO gearman_outbox ("+d.dialect.identifier("function")+", workload, priority) VALUES ('', 'b', 0), ('f', 'c', 9)")
		insert(t, db, "f", "d", 1, 1)
		r := newRelay(t, db, s.addr)
		r.MaxPayload, r.MaxAttempts = 5000, 3
		d.query(t, "INSERT INTO gearman_outbox ("+d.dialect.identifier("function")+", workload, priority) VALUES ('f', '"+strings.Repeat("x", 6000)+"', 0)")
		run(t, r)
		waitEmpty(t, db, r)
		waitFor(t, "dead rows", r, func() bool { return r.Stats().Dead == 3 })
		waitFor(t, "two sent rows", r, func() bool { return r.Stats().Sent == 2 })
		if got := r.Stats(); got.Refused != 9 || got.Away != "" {
			t.Errorf("got %+v, want 2 sent and 9 refused", got)
		}
		rows, err := db.Dead(t.Context(), 0, 0)
		if err != nil || len(rows) != 3 {
			t.Fatalf("got %v, %v, want 3 dead rows", rows, err)
		}
		for i, want := range []string{"no function", "not high, normal or low", "size 6000 over the limit of 5000 bytes"} {
			if got := rows[i]; got.Attempts != 3 || !strings.Contains(got.LastError, want) || time.Since(got.Dead).Abs() > time.Hour {
				t.Errorf("got %+v, want %q", got, want)
			}
		}
		if got, err := db.Dead(t.Context(), rows[0].ID, 1); err != nil || len(got) != 1 || got[0].ID != rows[1].ID {
			t.Errorf("got %v, %v, want the second row", got, err)
		}
		d.query(t, "UPDATE gearman_outbox SET priority = 0 WHERE priority = 9")
		if n, err := db.RetryDead(t.Context(), rows[1].ID); n != 1 || err != nil {
			t.Errorf("RetryDead: %d, %v, want 1", n, err)
		}
		waitFor(t, "third job", r, func() bool { return r.Stats().Sent == 3 })
		if n, err := db.PurgeDead(t.Context()); n != 2 || err != nil {
			t.Errorf("PurgeDead: %d, %v, want 2", n, err)
		}
	})
}

// TestQueueFull has a function that accepts one job. The rows of other functions pass.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		if err := admin.Create(t.Context(), "full"); err != nil {
			t.Fatal(err)
		}
		if err := admin.MaxQueue(t.Context(), "full", 1); err != nil {
			t.Fatal(err)
		}
		insert(t, db, "full", "a", 1, 5)
		insert(t, db, "f", "b", 1, 1)
		other := startCollector(t, s.addr, "f")
		r := newRelay(t, db, s.addr)
		r.BatchRows = 2
		run(t, r)
		other.wait(t, 1)
		startCollector(t, s.addr, "full").wait(t, 5)
		waitEmpty(t, db, r)
		if got := r.Stats(); got.Refused != 0 {
			t.Errorf("got %+v, want no attempts of rows of a full queue", got)
		}
	})
}

// TestLostAnywhere loses the connections to the database or to the server at many
// places. No job is lost, and none is doubled, because the jobs wait on the server.
func TestLostAnywhere(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		s := startServer(t, "", server.Config{})
		d.install(t, Config{})
		toDatabase, toServer := storetest.StartProxy(t, d.addr), storetest.StartProxy(t, s.addr)
		db := d.openAt(t, toDatabase.Addr(), Config{})
		direct := d.open(t, Config{})
		const rows = 20
		total := 0
		for n := 0; n < 1500; n += 150 {
			r := newRelay(t, db, toServer.Addr())
			toDatabase.CutAfter(storetest.ToServer, n)
			toServer.CutAfter(storetest.ToClient, n/2)
			stop := run(t, r)
			insert(t, direct, "f", fmt.Sprint(n), 1, rows)
			total += rows
			waitEmpty(t, direct, r)
			stop()
		}
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		jobs, err := admin.Jobs(t.Context(), "f", "", 0)
		if err != nil || len(jobs) != total {
			t.Errorf("got %d jobs, %v, want %d", len(jobs), err, total)
		}
		if toDatabase.Cuts() < 5 || toServer.Cuts() < 5 {
			t.Errorf("%d and %d connections were lost, want at least 5", toDatabase.Cuts(), toServer.Cuts())
		}
	})
}

// TestLostDelete loses the connection to the database between the submission and the
// deletion, and the answer to the commit.
func TestLostDelete(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		s := startServer(t, "", server.Config{})
		direct := d.install(t, Config{})
		proxy := storetest.StartProxy(t, d.addr)
		r := newRelay(t, d.openAt(t, proxy.Addr(), Config{}), s.addr)
		proxy.Hit(storetest.ToServer, []byte("DELETE"), storetest.CutOff)
		insert(t, direct, "f", "a", 1, 3)
		run(t, r)
		waitEmpty(t, direct, r)
		if proxy.Hits() != 1 {
			t.Fatalf("%d deletions were lost, want 1", proxy.Hits())
		}
		proxy.LoseAnswerTo([]byte("COMMIT"))
		insert(t, direct, "f", "b", 1, 3)
		waitEmpty(t, direct, r)
		waitFor(t, "lost commit", r, func() bool { return proxy.Cuts() == 1 && r.Stats().Away == "" })
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		jobs, err := admin.Jobs(t.Context(), "f", "", 0)
		if err != nil || len(jobs) != 6 {
			t.Errorf("got %d jobs, %v, want 6", len(jobs), err)
		}
	})
}

// TestAway starts a relay without a job server and without a database, and kills the
// database later. It logs each change once.
func TestAway(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		insert(t, db, "f", "a", 1, 3)
		port, err := storetest.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		r := newRelay(t, db, addr)
		log := &lockedBuffer{}
		r.Logger = slog.New(slog.NewTextHandler(log, nil))
		run(t, r)
		waitFor(t, "failure of the server", r, func() bool { return r.Stats().Away == "server" })
		startServer(t, addr, server.Config{})
		worker := startCollector(t, addr, "f")
		worker.wait(t, 3)
		waitFor(t, "recovery", r, func() bool { return r.Stats().Away == "" && r.Stats().Sent == 3 })
		d.kill()
		waitFor(t, "failure of the database", r, func() bool { return r.Stats().Away == "database" })
		d.start(t)
		insert(t, d.open(t, Config{}), "f", "b", 1, 2)
		worker.wait(t, 5)
		waitFor(t, "recovery", r, func() bool { return r.Stats().Away == "" })
		got := log.String()
		for _, want := range []string{"away=server", "back=server", "away=database", "back=database"} {
			if n := strings.Count(got, want); n != 1 {
				t.Errorf("%d lines with %s, want 1:\n%s", n, want, got)
			}
		}
	})
}

// TestNotInstalled runs a relay before its table exists.
func TestNotInstalled(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.open(t, Config{})
		s := startServer(t, "", server.Config{})
		r := newRelay(t, db, s.addr)
		run(t, r)
		waitFor(t, "error", r, func() bool { return strings.Contains(r.Stats().Err, "its installation creates") })
		d.install(t, Config{})
		insert(t, db, "f", "a", 1, 1)
		waitFor(t, "job", r, func() bool { return r.Stats().Sent == 1 })
	})
}

// TestTwoRelays has two relays at an outbox, and every job once.
func TestTwoRelays(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		insert(t, db, "f", "a", 1, 500)
		var relays []*Relay
		for range 2 {
			r := newRelay(t, d.open(t, Config{}), s.addr)
			r.BatchRows = 10
			r.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
			relays = append(relays, r)
			run(t, r)
		}
		jobs := startCollector(t, s.addr, "f").wait(t, 500)
		waitEmpty(t, db, relays[0])
		slices.Sort(jobs)
		if n := len(slices.Compact(jobs)); n != 500 {
			t.Errorf("%d different jobs, want 500", n)
		}
		waitFor(t, "count of all rows", relays[0], func() bool { return relays[0].Stats().Sent+relays[1].Stats().Sent == 500 })
	})
}

// TestPoison has a job server that closes the connection when it sees one of the jobs.
// That row dies, and the others arrive.
func TestPoison(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		s := startServer(t, "", server.Config{})
		insert(t, db, "f", "poison", 1, 1)
		insert(t, db, "f", "good", 1, 5)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var done sync.WaitGroup
		done.Go(func() { servePoisoned(listener, s.addr, &done) })
		t.Cleanup(func() { _ = listener.Close(); done.Wait() })
		r := newRelay(t, db, listener.Addr().String())
		r.MaxAttempts = 3
		t.Cleanup(func() { _ = r.Client.Close() })
		stop := run(t, r)
		startCollector(t, s.addr, "f").wait(t, 5)
		waitEmpty(t, db, r)
		stop()
		rows, err := db.Dead(t.Context(), 0, 0)
		if err != nil || len(rows) != 1 || !strings.Contains(rows[0].LastError, "connection lost") {
			t.Errorf("got %+v, %v, want the one row", rows, err)
		}
	})
}

// servePoisoned passes connections to a server, and closes those that send "poison".
func servePoisoned(listener net.Listener, addr string, done *sync.WaitGroup) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		done.Go(func() {
			defer c.Close()
			up, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			defer up.Close()
			done.Go(func() { _, _ = io.Copy(c, up) })
			b := make([]byte, 64<<10)
			for {
				n, err := c.Read(b)
				if err != nil || bytes.Contains(b[:n], []byte("poison")) {
					return
				}
				if _, err := up.Write(b[:n]); err != nil {
					return
				}
			}
		})
	}
}

// TestClosedClient ends Run.
func TestClosedClient(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		insert(t, db, "f", "a", 1, 1)
		r := newRelay(t, db, "127.0.0.1:1")
		_ = r.Client.Close()
		if err := r.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("got %v, want an error about the client", err)
		}
	})
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
