package cmd

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gm/pkg/gearman"
)

// pipedServer is a gm serve whose stderr is a pipe.
type pipedServer struct {
	cmd    *exec.Cmd
	stderr *os.File
	addr   gearman.Server
	done   chan error
}

func servePiped(t *testing.T, flags ...string) *pipedServer {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gm", append([]string{"serve", "-L", "127.0.0.1", "-p", "0", "--print-port"}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := &pipedServer{cmd: cmd, stderr: r, done: make(chan error, 1)}
	s.addr = gearman.Server{Network: "tcp", Addr: "127.0.0.1:" + strings.TrimSpace(port)}
	go func() { s.done <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		r.Close()
	})
	return s
}

// submit submits n background jobs.
func (s *pipedServer) submit(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), scriptPatience)
	defer cancel()
	client, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{s.addr}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range n {
		if _, err := client.Background(ctx, &gearman.Task{Function: "f"}); err != nil {
			t.Fatal(err)
		}
	}
}

// stop ends the server with SIGTERM and fails unless it exits with 0.
func (s *pipedServer) stop(t *testing.T) {
	t.Helper()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		if err != nil {
			t.Errorf("gm serve: %v", err)
		}
	case <-time.After(scriptPatience):
		t.Fatal("SIGTERM does not end the server")
	}
}

func TestServeSurvivesTheReaderOfItsLog(t *testing.T) {
	s := servePiped(t, "-v")
	s.stderr.Close()
	s.submit(t, 20)
	s.stop(t)
}

func TestServeSurvivesAFullLogPipe(t *testing.T) {
	s := servePiped(t, "-v", "--trace", "-")
	s.submit(t, 3000) // some 600 bytes a job; a pipe takes 65536
	s.stop(t)
}

// waitUntil polls until ok reports true.
func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(scriptPatience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waiting for %s: not within %v", what, scriptPatience)
		}
	}
}
