package systest

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gm/pkg/store/storetest"
	"gm/pkg/wire"
)

// place is where a server keeps its jobs.
type place struct {
	url     string   // for --store
	options []string // gearmand's for the same, which gm serve takes too; disk has none

	// Of a database: kill ends it as a crash would, start starts it again.
	kill  func()
	start func(t *testing.T)
}

// places are the stores that the tests of the whole program use. Those whose
// servers this machine lacks are skipped by name.
var places = []struct {
	name string
	open func(t *testing.T) place
}{
	{"disk", func(t *testing.T) place { return place{url: "disk:" + filepath.Join(t.TempDir(), "data")} }},
	{"sqlite", func(t *testing.T) place {
		file := filepath.Join(t.TempDir(), "queue.db")
		return place{url: "sqlite:" + file, options: []string{"--queue-type=libsqlite3", "--libsqlite3-db=" + file}}
	}},
	{"postgres", func(t *testing.T) place {
		s := storetest.StartPostgres(t)
		return place{
			s.URL(s.Addr()),
			[]string{"--queue-type=Postgres", "--libpq-conninfo=" + s.Conninfo()},
			s.Kill, func(t *testing.T) { s.Start(t) },
		}
	}},
	{"mysql", func(t *testing.T) place {
		s := storetest.StartMySQL(t)
		return place{
			s.URL(s.Addr()),
			[]string{
				"--queue-type=MySQL", "--mysql-host=127.0.0.1", fmt.Sprint("--mysql-port=", s.Port()),
				"--mysql-user=gm", "--mysql-password=secret", "--mysql-db=gm",
			},
			s.Kill, func(t *testing.T) { s.Start(t) },
		}
	}},
	{"redis", func(t *testing.T) place {
		s := storetest.StartRedis(t)
		return place{
			s.URL(s.Addr()),
			[]string{"--queue-type=redis", "--redis-server=127.0.0.1", fmt.Sprint("--redis-port=", s.Port())},
			s.Kill, func(t *testing.T) { s.Start(t) },
		}
	}},
}

// gmServer is gm serve through its lives: it is started, ended and started
// again with the same flags, each time on another port.
type gmServer struct {
	t    *testing.T
	args []string
	log  string // all lives write there

	mu      sync.Mutex
	now     *life
	changed chan struct{} // closed when there is another life
}

// life is one process of a gmServer.
type life struct {
	n    int // from 1
	addr string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended, with err
	err  error
	when time.Time // it was ended by the test, before the signal
}

func newGMServer(t *testing.T, flags ...string) *gmServer {
	t.Helper()
	g := &gmServer{
		t:       t,
		args:    append([]string{"serve", "-L", "127.0.0.1", "-p", "0", "--print-port"}, flags...),
		log:     filepath.Join(t.TempDir(), "log"),
		changed: make(chan struct{}),
	}
	t.Cleanup(func() {
		if lf := g.life(); lf != nil && !lf.hasEnded() {
			lf.signal(syscall.SIGKILL)
			<-lf.done
		}
		if t.Failed() {
			t.Logf("gm %s\n%s", strings.Join(g.args, " "), g.logTail())
		}
	})
	return g
}

// start begins the next life. It returns when the server listens.
func (g *gmServer) start() *life {
	g.t.Helper()
	out, err := os.OpenFile(g.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		g.t.Fatal(err)
	}
	defer out.Close()
	lf := &life{n: g.lives() + 1, cmd: exec.Command("gm", g.args...), done: make(chan struct{})}
	lf.cmd.Stderr = out
	lf.cmd.SysProcAttr = newProcessGroup()
	stdout, w, err := os.Pipe()
	if err != nil {
		g.t.Fatal(err)
	}
	defer stdout.Close()
	lf.cmd.Stdout = w
	err = lf.cmd.Start()
	w.Close()
	if err != nil {
		g.t.Fatal(err)
	}
	go func() {
		defer close(lf.done)
		lf.err = lf.cmd.Wait()
	}()
	stdout.SetReadDeadline(time.Now().Add(patience))
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		lf.signal(syscall.SIGKILL)
		<-lf.done
		g.t.Fatalf("gm %s: waiting for its port: %v\n%s", strings.Join(g.args, " "), err, g.logTail())
	}
	lf.addr = net.JoinHostPort("127.0.0.1", strings.TrimSpace(port))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = lf
	close(g.changed)
	g.changed = make(chan struct{})
	return lf
}

// end ends a life with a signal.
func (g *gmServer) end(lf *life, sig syscall.Signal) {
	g.t.Helper()
	lf.when = time.Now()
	lf.signal(sig)
	select {
	case <-lf.done:
	case <-time.After(2 * patience):
		g.t.Fatalf("gm serve still runs %v after %v\n%s", 2*patience, sig, g.logTail())
	}
}

// life returns the present or last life; nil before the first.
func (g *gmServer) life() *life {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *gmServer) lives() int {
	if lf := g.life(); lf != nil {
		return lf.n
	}
	return 0
}

// next waits for a life after the given one; nil if ctx is done before.
func (g *gmServer) next(ctx context.Context, after *life) *life {
	for {
		g.mu.Lock()
		lf, changed := g.now, g.changed
		g.mu.Unlock()
		if lf != after {
			return lf
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// logText returns the log of all lives.
func (g *gmServer) logText() string {
	text, err := os.ReadFile(g.log)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// logTail returns the end of it.
func (g *gmServer) logTail() string {
	const limit = 4096
	text := g.logText()
	return text[max(0, len(text)-limit):]
}

func (lf *life) signal(sig syscall.Signal) { _ = lf.cmd.Process.Signal(sig) }

func (lf *life) hasEnded() bool {
	select {
	case <-lf.done:
		return true
	default:
		return false
	}
}

// clean reports whether an ended life has ended well.
func (lf *life) clean() bool { return lf.hasEnded() && lf.err == nil }

// wait waits for the life's end, or ctx's.
func (lf *life) wait(ctx context.Context) {
	select {
	case <-lf.done:
	case <-ctx.Done():
	}
}

// waitWhile is waitFor for conditions that may take long: it waits as long as progress
// changes.
func waitWhile(t *testing.T, what string, progress func() int, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for last := progress(); !ok(); {
		if now := progress(); now != last {
			last = now
			late.Reset(patience)
		}
		select {
		case <-tick.C:
		case <-late.C:
			t.Errorf("waiting for %s: nothing for %s", what, patience)
			return
		}
	}
}

// askAdmin asks an admin command of a server and returns the lines of the
// answer before the dot.
func askAdmin(addr, command string) (lines []string, err error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintln(conn, command)
	scanner := bufio.NewScanner(conn)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		if scanner.Text() == "." {
			return lines, nil
		}
		lines = append(lines, scanner.Text())
	}
	return nil, fmt.Errorf("%s: no end of the answer: %w", command, cmp.Or(scanner.Err(), io.ErrUnexpectedEOF))
}

// totalJobs returns how many jobs the server has, of all functions.
func totalJobs(t *testing.T, g *gmServer) (total int) {
	t.Helper()
	lines, err := askAdmin(g.life().addr, "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		f, err := wire.ParseFunctionStatus([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		total += f.Total
	}
	return total
}

// askStats returns the statistics that a server reports.
func askStats(addr string) (stats wire.ServerStats, err error) {
	lines, err := askAdmin(addr, wire.CmdStats)
	if err != nil {
		return stats, err
	}
	return stats, json.Unmarshal([]byte(lines[0]), &stats)
}

// serverStats is askStats for a server that lives.
func serverStats(t *testing.T, g *gmServer) wire.ServerStats {
	t.Helper()
	stats, err := askStats(g.life().addr)
	if err != nil {
		t.Fatal(err)
	}
	return stats
}
