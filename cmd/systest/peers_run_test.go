package systest

// How the peer tests start servers, workers and clients, and wait for them.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gm/pkg/store/storetest"
)

// patience is how long one client may take, and how long a condition may take
// to come true.
const patience = 20 * time.Second

// waitFor asks ok every few milliseconds until it says yes.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("waiting for %s: not within %s", what, patience)
		}
	}
}

// peerServer is a job server that runs until the end of the test.
type peerServer struct {
	host, port string
	pid        int

	// gearmand 1.1.20 looks for delayed jobs that are due only when a worker
	// grabs, and wakes none for them.
	wakesNobody bool
}

func (s peerServer) addr() string { return net.JoinHostPort(s.host, s.port) }

// serveGM starts gm serve on a free port.
func serveGM(t *testing.T) peerServer {
	t.Helper()
	c := start(t, "gm", "serve", "-L", "127.0.0.1", "-p", "0", "--print-port")
	srv := peerServer{host: "127.0.0.1", pid: c.cmd.Process.Pid}
	waitFor(t, "the port of gm serve", func() bool {
		line, _, whole := strings.Cut(c.output(t), "\n")
		srv.port = line
		return whole
	})
	return srv
}

// serveGearmand starts Debian's gearmand on a free port.
func serveGearmand(t *testing.T) peerServer {
	t.Helper()
	path, err := exec.LookPath("gearmand")
	if err != nil {
		path = "/usr/sbin/gearmand" // often only in the PATH of root
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("no gearmand here (gearman-job-server)")
	}
	// It can't be told to take any port and say which.
	port, err := storetest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	srv := peerServer{host: "127.0.0.1", port: strconv.Itoa(port), wakesNobody: true}
	srv.pid = start(t, path, "-L", srv.host, "-p", srv.port, "-l", "stderr").cmd.Process.Pid
	waitFor(t, "gearmand to listen", func() bool {
		conn, err := net.Dial("tcp", srv.addr())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return srv
}

// workers returns how many workers offer function, as the server's status has
// it.
func (s peerServer) workers(t *testing.T, function string) int {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "status\n")
	for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != "."; {
		var name string
		var total, running, workers int
		if _, err := fmt.Sscan(lines.Text(), &name, &total, &running, &workers); err != nil {
			t.Fatalf("status line %q: %v", lines.Text(), err)
		}
		if name == function {
			return workers
		}
	}
	return 0
}

// waitForWorkers waits until n workers offer function.
func (s peerServer) waitForWorkers(t *testing.T, function string, n int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d workers for %s", n, function), func() bool {
		return s.workers(t, function) >= n
	})
}

// child is a command in the background. Its output goes to the files stdout
// and stderr.
type child struct {
	cmd            *exec.Cmd
	stdout, stderr string
	done           chan struct{} // closed when it has ended, with err
	err            error
}

// start runs a command in the background until the test ends.
func start(t *testing.T, args ...string) *child {
	t.Helper()
	dir := t.TempDir()
	c := &child{
		cmd:    exec.Command(args[0], args[1:]...),
		stdout: filepath.Join(dir, "stdout"),
		stderr: filepath.Join(dir, "stderr"),
		done:   make(chan struct{}),
	}
	var files []*os.File
	for _, path := range []string{c.stdout, c.stderr} {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	c.cmd.Stdout, c.cmd.Stderr = files[0], files[1]
	// Its children are in its process group, and end with it.
	c.cmd.SysProcAttr = newProcessGroup()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
		for _, f := range files {
			f.Close()
		}
	}()
	t.Cleanup(func() {
		select {
		case <-c.done:
		default:
			_ = killProcessGroup(c.cmd.Process)
			<-c.done
		}
		if t.Failed() {
			stderr, _ := os.ReadFile(c.stderr)
			t.Logf("%s %s\nstdout: %s\nstderr: %s", filepath.Base(args[0]), strings.Join(args[1:min(3, len(args))], " "),
				head(c.output(t)), head(string(stderr)))
		}
	})
	return c
}

func head(s string) string {
	const limit = 4096
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}

// output returns the output of the command so far.
func (c *child) output(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(c.stdout)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waitForOutput waits until the command has printed text.
func (c *child) waitForOutput(t *testing.T, text string) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%q", text), func() bool { return strings.Contains(c.output(t), text) })
}

// wait waits for the end of the command, which must succeed, and returns its output.
func (c *child) wait(t *testing.T) string {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-c.done:
	case <-late.C:
		t.Fatalf("%s still runs after %s", c.cmd, patience)
	}
	if c.err != nil {
		t.Fatalf("%s: %v", c.cmd, c.err)
	}
	return c.output(t)
}

// result is the end of a command.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a command to its end with stdin as its input.
func run(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s: still runs after %s\nstdout: %s\nstderr: %s", cmd, patience, head(stdout.String()), head(stderr.String()))
	case err != nil && !errors.As(err, &exit):
		t.Fatalf("%s: %v", cmd, err)
	}
	return result{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
}

// mustRun runs a command that must succeed and returns its output.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	r := run(t, nil, args...)
	if r.code != 0 {
		t.Fatalf("%s: exit code %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), r.code, head(r.stdout), head(r.stderr))
	}
	return r.stdout
}

// gate is a FIFO at which the workers' function gate waits.
type gate struct {
	path string
}

func newGate(t *testing.T) gate {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	if err := makeFIFO(path); err != nil {
		t.Fatal(err)
	}
	return gate{path}
}

// open lets the one worker through that waits or is about to.
func (g gate) open(t *testing.T) {
	t.Helper()
	waitFor(t, "a worker at the gate", func() bool {
		f, err := openFIFO(g.path)
		if err == nil {
			f.Close()
		}
		return err == nil
	})
}
