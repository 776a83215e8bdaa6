package systest

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gm/pkg/wire"
)

var containerTime = flag.Duration("container-time", 2*time.Second, "TestSmallContainers: how long each server is under load")

// TestSmallContainers runs servers with default flags in memory control groups of
// 64, 128 and 256 MiB, under a load of submitters and workers with small payloads
// and some of 1 MB. None is killed.
func TestSmallContainers(t *testing.T) {
	for _, size := range []int64{64 << 20, 128 << 20, 256 << 20} {
		t.Run(fmt.Sprintf("%dMiB", size>>20), func(t *testing.T) {
			group := newMemoryGroup(t, size)
			srv := startInGroup(t, group)
			if stats := statsOf(t, srv.addr); stats.MemoryBytes <= 0 || stats.MemoryBytes > size/2 {
				t.Errorf("payloads may take %d bytes", stats.MemoryBytes)
			}
			l := &containerLoad{addr: srv.addr}
			for range 10 { // a machine that is busy may do nothing in the first
				l.until = time.Now().Add(*containerTime)
				l.run(t)
				if l.foreground.Load() > 0 && l.background.Load() > 0 {
					break
				}
			}
			select {
			case <-srv.done:
				t.Fatalf("the server has ended: %v\n%s", srv.cmd.ProcessState, srv.tail())
			default:
			}
			t.Logf("%v: %d foreground and %d background jobs done, %d refused; at most %d MiB of %d",
				*containerTime, l.foreground.Load(), l.background.Load(), l.refused.Load(), group.peak(t)>>20, size>>20)
			if l.foreground.Load() == 0 || l.background.Load() == 0 {
				t.Error("nothing was done")
			}
		})
	}
}

// memoryGroup is a memory control group, of version 1 or 2.
type memoryGroup struct {
	dir string
	v2  bool
}

// newMemoryGroup makes a control group below the one of the test, or skips the
// test.
func newMemoryGroup(t *testing.T, size int64) memoryGroup {
	t.Helper()
	name := fmt.Sprintf("gm-test-%d-%d", os.Getpid(), size>>20)
	for _, g := range []memoryGroup{
		{filepath.Join("/sys/fs/cgroup/memory", ownGroup("memory"), name), false},
		{filepath.Join("/sys/fs/cgroup/memory", name), false},
		{filepath.Join("/sys/fs/cgroup", ownGroup(""), name), true},
		{filepath.Join("/sys/fs/cgroup", name), true},
	} {
		if os.Mkdir(g.dir, 0o755) != nil {
			continue
		}
		limit, swap := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
		if g.v2 {
			limit, swap = "memory.max", "memory.swap.max"
		}
		err := os.WriteFile(filepath.Join(g.dir, limit), []byte(strconv.FormatInt(size, 10)), 0o644)
		if err != nil {
			os.Remove(g.dir)
			continue
		}
		most := strconv.FormatInt(size, 10)
		if g.v2 {
			most = "0"
		}
		os.WriteFile(filepath.Join(g.dir, swap), []byte(most), 0o644) //nolint:errcheck // a machine without swap
		t.Cleanup(func() {
			waitFor(t, "the control group's end", func() bool {
				err := os.Remove(g.dir)
				return err == nil || errors.Is(err, os.ErrNotExist)
			})
		})
		return g
	}
	t.Skip("no memory control group can be made here")
	return memoryGroup{}
}

// ownGroup returns the path of the test's own control group of a controller,
// empty for version 2.
func ownGroup(controller string) string {
	text, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && fields[1] == controller {
			return fields[2]
		}
	}
	return ""
}

// peak returns the most that the group has had, in bytes.
func (g memoryGroup) peak(t *testing.T) int64 {
	t.Helper()
	name := "memory.max_usage_in_bytes"
	if g.v2 {
		name = "memory.peak"
	}
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// groupServer is gm serve in a control group.
type groupServer struct {
	cmd  *exec.Cmd
	addr string
	log  string
	done chan struct{}
}

func startInGroup(t *testing.T, g memoryGroup) *groupServer {
	t.Helper()
	srv := &groupServer{log: filepath.Join(t.TempDir(), "log"), done: make(chan struct{})}
	out, err := os.Create(srv.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	srv.cmd = exec.Command("sh", "-c", `echo $$ > "$0/cgroup.procs" && exec gm serve -L 127.0.0.1 -p 0 --print-port`, g.dir)
	srv.cmd.Stderr = out
	stdout, err := srv.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	port, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		defer close(srv.done)
		srv.cmd.Wait()
	}()
	t.Cleanup(func() {
		srv.cmd.Process.Signal(syscall.SIGKILL)
		<-srv.done
	})
	if err != nil {
		t.Fatalf("waiting for its port: %v\n%s", err, srv.tail())
	}
	srv.addr = net.JoinHostPort("127.0.0.1", strings.TrimSpace(port))
	return srv
}

func (srv *groupServer) tail() string {
	text, _ := os.ReadFile(srv.log)
	return string(text[max(0, len(text)-4000):])
}

// containerLoad is 64 connections: workers, clients that wait for results, and
// clients that submit in the background as fast as they can.
type containerLoad struct {
	addr  string
	until time.Time

	foreground, background, refused atomic.Int64
}

const containerPeers = 64

func (l *containerLoad) run(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range containerPeers {
		nc, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(l.until) //nolint:errcheck // it ends the load
		p := &loadPeer{Conn: nc, r: wire.NewReader(nc, wire.Limits{}), l: l, n: i}
		wg.Go([]func(){p.work, p.wait, p.flood, p.work}[i%4])
	}
	wg.Wait()
}

// loadPeer is one of the connections. It ends with its deadline, or its server.
type loadPeer struct {
	net.Conn
	r *wire.Reader
	p wire.Packet
	l *containerLoad
	n int
}

var (
	smallLoad = strings.Repeat("s", 200)
	largeLoad = strings.Repeat("L", 1<<20)
)

// payload returns a small payload, and one of 1 MB every so often.
func (p *loadPeer) payload() string {
	if p.n++; p.n%every == 0 {
		return largeLoad
	}
	return smallLoad
}

const every = 20

func (p *loadPeer) send(t wire.Type, args ...string) bool {
	_, err := p.Write(wire.AppendString(nil, wire.Request, t, args...))
	return err == nil
}

func (p *loadPeer) next() bool { return p.r.Next(&p.p) == nil }

func (p *loadPeer) work() {
	ok := p.send(wire.CanDo, "fg") && p.send(wire.CanDo, "bg") && p.send(wire.GrabJob)
	for ok && p.next() {
		switch p.p.Type {
		case wire.JobAssign:
			if string(p.p.Args[1]) == "bg" {
				p.l.background.Add(1)
			}
			ok = p.send(wire.WorkComplete, string(p.p.Args[0]), string(p.p.Args[2])) && p.send(wire.GrabJob)
		case wire.NoJob:
			ok = p.send(wire.PreSleep)
		case wire.Noop:
			ok = p.send(wire.GrabJob)
		}
	}
}

func (p *loadPeer) wait() {
	ok := p.send(wire.SubmitJobHigh, "fg", "", p.payload())
	for ok && p.next() {
		switch p.p.Type {
		case wire.WorkComplete:
			p.l.foreground.Add(1)
		case wire.Error:
			p.l.refused.Add(1)
		default:
			continue
		}
		ok = p.send(wire.SubmitJobHigh, "fg", "", p.payload())
	}
}

func (p *loadPeer) flood() {
	const window = 32
	for {
		var b []byte
		for range window {
			b = wire.AppendString(b, wire.Request, wire.SubmitJobBG, "bg", "", p.payload())
		}
		if _, err := p.Write(b); err != nil {
			return
		}
		for range window {
			if !p.next() {
				return
			}
			if p.p.Type == wire.Error {
				p.l.refused.Add(1)
			}
		}
	}
}
