package outbox

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
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
		Once: true, OncePrefix: UniquePrefix,
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
