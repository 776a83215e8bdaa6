package udf_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gm/pkg/gearman"
)

// patience is the maximum time that a test waits for an event that must come.
const patience = 30 * time.Second

// eventually waits until done returns true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// jobServer is a process of gm serve.
type jobServer struct {
	addr string
	cmd  *exec.Cmd
}

// startJobServer starts gm serve on loopback until the end of the test.
func startJobServer(t testing.TB, flags ...string) *jobServer {
	t.Helper()
	cmd := exec.Command("gm", append([]string{"serve", "-L", "127.0.0.1", "-p", "0", "--print-port"}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: read the port: %v", cmd, err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("%v: prints no port: %v", cmd, err)
	}
	return &jobServer{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), cmd: cmd}
}

func (s *jobServer) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("signal %v: %v", sig, err)
	}
}

// stop stops the process with SIGSTOP, and waits until each of its threads has stopped.
func (s *jobServer) stop(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	eventually(t, "gm serve is stopped", func() bool {
		threads, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "task", "*", "stat"))
		if err != nil || len(threads) == 0 {
			t.Fatalf("the process has %d threads: %v", len(threads), err)
		}
		return !slices.ContainsFunc(threads, func(file string) bool {
			text, err := os.ReadFile(file)
			return err == nil && !bytes.Contains(text, []byte(") T "))
		})
	})
}

// worker does the jobs of the tests.
type worker struct {
	reversed atomic.Int64  // jobs of reverse that have ended
	blocked  chan struct{} // has an element for each job of block that has begun
	payload  atomic.Value  // the last payload of echo
}

// startWorker starts a worker until the end of the test.
func startWorker(t testing.TB, addr string) *worker {
	t.Helper()
	w := &worker{blocked: make(chan struct{}, 100)}
	g, err := gearman.NewWorker(gearman.WorkerOptions{
		Options:     gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: addr}}},
		Concurrency: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, handler := range map[string]gearman.Handler{
		"reverse": w.reverse,
		"echo":    w.echo,
		"block":   w.block,
		"length": func(_ context.Context, j *gearman.Job) ([]byte, error) {
			return strconv.AppendInt(nil, int64(len(j.Payload())), 10), nil
		},
		"fail": func(context.Context, *gearman.Job) ([]byte, error) {
			return nil, &gearman.Exception{Data: []byte("no such image\n")}
		},
		"pieces": func(_ context.Context, j *gearman.Job) ([]byte, error) {
			return []byte("c"), errors.Join(j.SendData([]byte("a")), j.SendData([]byte("b")))
		},
	} {
		if err := g.Handle(name, handler); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = g.Run(context.Background())
	}()
	t.Cleanup(func() {
		g.Abort()
		<-ended
	})
	return w
}

func (w *worker) reverse(_ context.Context, j *gearman.Job) ([]byte, error) {
	data := bytes.Clone(j.Payload())
	slices.Reverse(data)
	w.reversed.Add(1)
	return data, nil
}

func (w *worker) echo(_ context.Context, j *gearman.Job) ([]byte, error) {
	w.payload.Store(string(j.Payload()))
	return bytes.Clone(j.Payload()), nil
}

// block reports progress and then waits until the worker stops.
func (w *worker) block(ctx context.Context, j *gearman.Job) ([]byte, error) {
	_ = j.SendStatus(1, 2)
	w.blocked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// silentAddr returns an address whose packets the system drops: connections to
// it neither succeed nor fail.
func silentAddr(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
	for {
		conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr // its queue of connections is full
		}
		t.Cleanup(func() { conn.Close() })
	}
}

// startFrozenServer starts a server that answers the first ECHO_REQ of each
// connection, and then reads no more of it. It returns its address.
func startFrozenServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go answerEcho(conn)
		}
	}()
	return l.Addr().String()
}

// answerEcho answers the first ECHO_REQ.
func answerEcho(conn net.Conn) {
	for {
		var header [12]byte
		if _, err := io.ReadFull(conn, header[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(header[8:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		const echoRequest, echoReply = 16, 17
		if header[7] == echoRequest {
			_, _ = conn.Write(append([]byte("\x00RES\x00\x00\x00"), append([]byte{echoReply}, append(header[8:12:12], body...)...)...))
			return
		}
	}
}
