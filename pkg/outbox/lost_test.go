package outbox

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/store/storetest"
)

// TestLostAnywhere loses the connections to the database or to the server at many
// places. No job is lost, and none is doubled, because the jobs wait on the server.
func TestLostAnywhere(t *testing.T) {
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

// TestLostDelete loses the connection to the database before the submission, between the
// submission and the commit, and the answer to the commit.
func TestLostDelete(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		s := startServer(t, "", server.Config{})
		direct := d.install(t, Config{})
		proxy := storetest.StartProxy(t, d.addr)
		r := newRelay(t, d.openAt(t, proxy.Addr(), Config{}), s.addr)
		proxy.Hit(storetest.ToServer, []byte("DELETE"), storetest.CutOff)
		insert(t, direct, "f", "a", 1, 3)
		run(t, r)
		waitEmpty(t, direct, r)
		proxy.Hit(storetest.ToServer, d.commit(), storetest.CutOff)
		insert(t, direct, "f", "c", 1, 3)
		waitEmpty(t, direct, r)
		if proxy.Hits() != 2 {
			t.Fatalf("%d connections were lost, want 2", proxy.Hits())
		}
		proxy.LoseAnswerTo(d.commit())
		insert(t, direct, "f", "b", 1, 3)
		waitEmpty(t, direct, r)
		waitFor(t, "lost commit", r, func() bool { return proxy.Cuts() == 1 && r.Stats().Away == "" })
		admin := gearman.NewAdmin(gearman.Server{Network: "tcp", Addr: s.addr}, gearman.Options{})
		defer admin.Close()
		jobs, err := admin.Jobs(t.Context(), "f", "", 0)
		if err != nil || len(jobs) != 9 {
			t.Errorf("got %d jobs, %v, want 9", len(jobs), err)
		}
	})
}

// TestEndedJobsAreNotRepeated loses the commits of batches whose jobs end before the next
// relay submits the rows again. Each job runs once.
func TestEndedJobsAreNotRepeated(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		s := startServer(t, "", server.Config{})
		direct := d.install(t, Config{})
		proxy := storetest.StartProxy(t, d.addr)
		worker := startCollector(t, s.addr, "f")
		const rounds, rows = 4, 5
		for round := range rounds {
			proxy.Hit(storetest.ToServer, d.commit(), storetest.CutOff)
			insert(t, direct, "f", fmt.Sprint(round), 1, rows)
			first := newRelay(t, d.openAt(t, proxy.Addr(), Config{}), s.addr)
			first.MinBackoff = time.Minute
			stop := run(t, first)
			worker.wait(t, (round+1)*rows)
			waitFor(t, "lost commit", first, func() bool { return proxy.Hits() == round+1 && first.Stats().Away == "database" })
			stop()
			if got := strings.Count(d.rows(t, DefaultTable), "\n"); got != rows {
				t.Fatalf("%d rows are left, want all %d", got, rows)
			}
			next := newRelay(t, direct, s.addr)
			stop = run(t, next)
			waitEmpty(t, direct, next)
			stop()
		}
		last := newRelay(t, direct, s.addr)
		run(t, last)
		insert(t, direct, "f", "last", 1, 1)
		jobs := worker.wait(t, rounds*rows+1)
		if len(jobs) != rounds*rows+1 || jobs[len(jobs)-1] != "last-1" {
			t.Errorf("the worker got %d jobs, want %d: %q", len(jobs), rounds*rows+1, jobs)
		}
	})
}

// TestLostCommitOfARelay loses the commits of a relay that goes on. It submits no row
// again, although the rows have uniques of their own, whose jobs may be repeated.
func TestLostCommitOfARelay(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		s := startServer(t, "", server.Config{})
		direct := d.install(t, Config{})
		proxy := storetest.StartProxy(t, d.addr)
		worker := startCollector(t, s.addr, "f")
		r := newRelay(t, d.openAt(t, proxy.Addr(), Config{}), s.addr)
		run(t, r)
		const rounds, rows = 5, 4
		for round := range rounds {
			proxy.Hit(storetest.ToServer, d.commit(), storetest.CutOff)
			for row := range rows {
				d.query(t, fmt.Sprintf("INSERT INTO gearman_outbox (%s, workload, unique_key) VALUES ('f', '%d', 'key %d')",
					d.dialect.identifier("function"), round*rows+row, round*rows+row))
			}
			waitFor(t, "lost commit", r, func() bool { return proxy.Hits() == round+1 })
			waitEmpty(t, direct, r)
		}
		insert(t, direct, "f", "last", 1, 1)
		if jobs := worker.wait(t, rounds*rows+1); len(jobs) != rounds*rows+1 {
			t.Errorf("the worker got %d jobs, want %d: %q", len(jobs), rounds*rows+1, jobs)
		}
		waitFor(t, "count of all rows", r, func() bool { return r.Stats().Sent == rounds*rows+1 })
	})
}

// TestPoison has a job server that closes the connection when it sees one of the jobs.
// That row dies, and the others arrive.
func TestPoison(t *testing.T) {
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

// TestProxyWithoutServer has a proxy that accepts connections and loses them. The rows
// wait, and none of them dies.
func TestProxyWithoutServer(t *testing.T) {
	eachDatabase(t, func(t *testing.T, d *database) {
		db := d.install(t, Config{})
		insert(t, db, "f", "a", 1, 3)
		lost := newLosingListener(t)
		r := newRelay(t, db, lost.addr)
		r.MaxAttempts = 2
		stop := run(t, r)
		lost.wait(t, 20)
		stop()
		if got := r.Stats(); got.Refused != 0 || got.Dead != 0 || got.Away != "server" {
			t.Errorf("got %+v, want no refusals, and the server away", got)
		}
	})
}

// losingListener accepts connections, reads a little and closes them.
type losingListener struct {
	addr  string
	losts chan struct{}
}

func newLosingListener(t testing.TB) *losingListener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &losingListener{listener.Addr().String(), make(chan struct{}, 1000)}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1))
			_ = c.Close()
			select {
			case l.losts <- struct{}{}:
			default:
			}
		}
	})
	t.Cleanup(func() { _ = listener.Close(); done.Wait() })
	return l
}

// wait waits until n connections are lost.
func (l *losingListener) wait(t testing.TB, n int) {
	t.Helper()
	limit := time.After(time.Minute)
	for range n {
		select {
		case <-l.losts:
		case <-limit:
			t.Fatalf("fewer than %d connections after a minute", n)
		}
	}
}
