package systest

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/wire"
)

var (
	backlogJobs   = flag.Int("backlog-jobs", 20_000, "TestBacklog: how many jobs of 1 KiB")
	backlogMemory = flag.String("backlog-memory", "4MiB", "TestBacklog: --memory of the server")
	backlogDelay  = flag.Duration("backlog-delay", time.Second, "TestBacklog: when the first delayed job is due; the last is after twice that")
	backlogDir    = flag.String("backlog-dir", "", "TestBacklog: a directory on the disk to use")
	backlogMaxRSS = flag.Int("backlog-max-rss", 0, "TestBacklog: MB of resident memory that the server may have; 0 is not judged")
	backlogMaxUp  = flag.Duration("backlog-max-up", 0, "TestBacklog: in which time a server that was started again takes a job; 0 is not judged")
)

// TestBacklog fills a server with more than it may hold in memory, kills it,
// and drains the next one: every other job is delayed, and due meanwhile. make
// bench-memory runs it with two million jobs; only then time and memory are
// judged.
func TestBacklog(t *testing.T) {
	dir, err := os.MkdirTemp(*backlogDir, "gm-backlog-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := newBacklog(*backlogJobs, *backlogDelay)

	srv, stop := serveBacklog(t, dir)
	rss := watchRSS(t, srv.pid)
	took := rss.during(t, "load", func() { b.submit(t, srv.addr()) })
	t.Logf("load: %d jobs in %v, %.0f a second", b.n, took.Round(time.Millisecond), float64(b.n)/took.Seconds())
	rss.during(t, "after load", func() { rss.await(t, 20) })
	stats := statsOf(t, srv.addr())
	if stats.Jobs != b.n {
		t.Errorf("after the load the server has %d jobs, want %d", stats.Jobs, b.n)
	}
	t.Logf("after load: %d payloads are in the store only, %d bytes of others in memory", stats.Spilled, stats.HeldBytes)
	rss.stop()
	stop()

	began := time.Now()
	srv, stop = serveBacklog(t, dir)
	defer stop()
	rss = watchRSS(t, srv.pid)
	defer rss.stop()
	b.submitOne(t, srv.addr())
	up := time.Since(began)
	loading := statsOf(t, srv.addr()).Loading
	t.Logf("restart: took a job after %v, answered an admin after %v (loading: %t)",
		up.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), loading)
	if *backlogMaxUp > 0 && up > *backlogMaxUp {
		t.Errorf("restart: took a job after %v, want %v", up, *backlogMaxUp)
	}
	rss.during(t, "restart", func() {
		for statsOf(t, srv.addr()).Loading {
			rss.await(t, 2)
		}
	})
	t.Logf("restart: all was read after %v", time.Since(began).Round(time.Millisecond))

	took = rss.during(t, "drain", func() {
		b.drain(t, srv.addr())
		waitFor(t, "the server to have no jobs", func() bool { return statsOf(t, srv.addr()).Jobs == 0 })
	})
	t.Logf("drain: %d jobs in %v, %.0f a second, those that were not due yet included", b.n, took.Round(time.Millisecond), float64(b.n)/took.Seconds())
	b.check(t)
}

// serveBacklog starts a server with its jobs in dir, and returns a function that kills
// it.
func serveBacklog(t *testing.T, dir string) (srv peerServer, stop func()) {
	t.Helper()
	c := start(t, "gm", "serve", "-L", "127.0.0.1", "-p", "0", "--print-port",
		"--data", filepath.Join(dir, "data"), "--memory", *backlogMemory)
	srv = peerServer{host: "127.0.0.1", pid: c.cmd.Process.Pid}
	waitFor(t, "the port of gm serve", func() bool {
		line, _, whole := strings.Cut(c.output(t), "\n")
		srv.port = line
		return whole
	})
	return srv, func() {
		c.cmd.Process.Kill()
		<-c.done
	}
}

// statsOf returns the statistics that a server reports.
func statsOf(t *testing.T, addr string) (stats wire.ServerStats) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintln(conn, wire.CmdStats)
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &stats)
	}
	if err != nil {
		t.Fatalf("stats: %v", err)
	}
	return stats
}

// rssWatch follows the resident memory of a process, mapped files included.
type rssWatch struct {
	ended, done chan struct{}

	mu      sync.Mutex
	changed sync.Cond // after each sample
	samples int
	most    int // MB since it was last taken
	err     error
}

const rssEvery = 50 * time.Millisecond

func watchRSS(t *testing.T, pid int) *rssWatch {
	t.Helper()
	w := &rssWatch{ended: make(chan struct{}), done: make(chan struct{})}
	w.changed.L = &w.mu
	if _, err := residentMB(pid); os.IsNotExist(err) {
		t.Skip("no /proc here to read resident memory from")
	}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(rssEvery)
		defer tick.Stop()
		for {
			mb, err := residentMB(pid)
			w.mu.Lock()
			w.samples++
			w.most, w.err = max(w.most, mb), err
			w.changed.Broadcast()
			w.mu.Unlock()
			select {
			case <-tick.C:
			case <-w.ended:
				return
			}
		}
	}()
	return w
}

func (w *rssWatch) stop() {
	close(w.ended)
	<-w.done
}

// await returns after n more samples.
func (w *rssWatch) await(t *testing.T, n int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for end := w.samples + n; w.samples < end; {
		w.changed.Wait()
	}
	if w.err != nil {
		t.Fatal(w.err)
	}
}

// during logs and judges the most that there was while f ran, and returns how
// long that was.
func (w *rssWatch) during(t *testing.T, what string, f func()) time.Duration {
	t.Helper()
	began := time.Now()
	f()
	took := time.Since(began)
	w.await(t, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	t.Logf("%s: at most %d MB resident", what, w.most)
	if *backlogMaxRSS > 0 && w.most > *backlogMaxRSS {
		t.Errorf("%s: %d MB resident, want at most %d", what, w.most, *backlogMaxRSS)
	}
	w.most = 0
	return took
}

// residentMB returns the resident memory of a process.
func residentMB(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		return 0, fmt.Errorf("VmRSS of process %d: %w", pid, err)
	}
	return kb * 1024 / 1e6, nil
}
