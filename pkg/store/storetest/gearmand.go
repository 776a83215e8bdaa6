package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Gearmand is Debian's job server on loopback, for stores with the layout of
// one of its plugins.
type Gearmand struct {
	port    int
	process *process
	conn    net.Conn
}

// StartGearmand starts a gearmand on the queue of options such as
// --queue-type=redis. It stops at the end of t.
func StartGearmand(t testing.TB, options ...string) *Gearmand {
	t.Helper()
	program := findProgram(t, "gearman-job-server", []string{"gearmand"}, "/usr/sbin")
	g := &Gearmand{port: freePort(t)}
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	g.process = startProcess(t, nil, log, program,
		append(options, "-L", "127.0.0.1", "-p", strconv.Itoa(g.port), "-l", "stderr")...)
	t.Cleanup(func() { g.process.stop(syscall.SIGKILL) })
	g.process.waitReady(t, log, func(ctx context.Context) bool {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", g.port))
		if err != nil {
			return false
		}
		g.conn = conn
		return true
	})
	t.Cleanup(func() { g.conn.Close() })
	_ = g.conn.SetDeadline(time.Now().Add(patience))
	return g
}

// Addr returns the server's address as host:port.
func (g *Gearmand) Addr() string { return fmt.Sprintf("127.0.0.1:%d", g.port) }

// Stop stops gearmand as its service does.
func (g *Gearmand) Stop() { g.process.stop(syscall.SIGTERM) }

// GearmandJob is a job of gearmand.
type GearmandJob struct{ Function, Unique, Payload string }

// Submit submits jobs in the background, one after the other.
func (g *Gearmand) Submit(t testing.TB, jobs ...GearmandJob) {
	t.Helper()
	for _, j := range jobs {
		g.submit(t, submitJobBG, j.Function, j.Unique, j.Payload)
	}
}

// Packets of submissions in the background.
const (
	submitJobBG     = 18
	submitJobHighBG = 32
	submitJobLowBG  = 34
	submitJobEpoch  = 36
)

// submit submits one job, which gearmand must take.
func (g *Gearmand) submit(t testing.TB, kind uint32, args ...string) {
	t.Helper()
	if !g.offer(t, kind, args...) {
		t.Fatalf("gearmand refuses job %q", args)
	}
}

// offer submits one job, and reports whether gearmand takes it.
func (g *Gearmand) offer(t testing.TB, kind uint32, args ...string) bool {
	t.Helper()
	const jobCreated, failure = 8, 19
	g.send(t, kind, args...)
	answer, body := g.receive(t)
	if answer != jobCreated && answer != failure {
		t.Fatalf("gearmand: answer to a submission: packet %d %q", answer, body)
	}
	return answer == jobCreated
}

// Drain does all waiting jobs of some functions, and returns them.
func (g *Gearmand) Drain(t testing.TB, functions ...string) (jobs []GearmandJob) {
	t.Helper()
	const canDo, grabJobUniq, jobAssignUniq, noJob, workComplete = 1, 30, 31, 10, 13
	for _, f := range functions {
		g.send(t, canDo, f)
	}
	for {
		g.send(t, grabJobUniq)
		kind, body := g.receive(t)
		if kind == noJob {
			return jobs
		}
		parts := bytes.SplitN(body, []byte{0}, 4)
		if kind != jobAssignUniq || len(parts) != 4 {
			t.Fatalf("gearmand: answer to a grab: packet %d %q", kind, body)
		}
		jobs = append(jobs, GearmandJob{string(parts[1]), string(parts[2]), string(parts[3])})
		g.send(t, workComplete, string(parts[0]), "")
	}
}

func (g *Gearmand) send(t testing.TB, kind uint32, args ...string) {
	t.Helper()
	var body []byte
	for i, arg := range args {
		if i > 0 {
			body = append(body, 0)
		}
		body = append(body, arg...)
	}
	b := binary.BigEndian.AppendUint32([]byte("\x00REQ"), kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	if _, err := g.conn.Write(append(b, body...)); err != nil {
		t.Fatalf("gearmand: %v", err)
	}
}

func (g *Gearmand) receive(t testing.TB) (kind uint32, body []byte) {
	t.Helper()
	var head [12]byte
	if _, err := io.ReadFull(g.conn, head[:]); err != nil {
		t.Fatalf("gearmand: %v", err)
	}
	body = make([]byte, binary.BigEndian.Uint32(head[8:]))
	if _, err := io.ReadFull(g.conn, body); err != nil {
		t.Fatalf("gearmand: %v", err)
	}
	return binary.BigEndian.Uint32(head[4:]), body
}
