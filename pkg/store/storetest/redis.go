package storetest

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a Redis server on loopback that syncs each write.
type Redis struct {
	port    int
	dir     string
	program string
	process *process
}

// StartRedis starts a server with data of its own. It stops at the end of t.
func StartRedis(t testing.TB) *Redis {
	t.Helper()
	// The behaviour of the program depends on its name, so links are not
	// followed.
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not there; package redis-server has it")
	}
	r := &Redis{port: freePort(t), program: program, dir: t.TempDir()}
	r.Start(t)
	t.Cleanup(func() { r.process.stop(syscall.SIGKILL) })
	return r
}

// Addr returns the server's address as host:port.
func (r *Redis) Addr() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

// Port returns the port of Addr.
func (r *Redis) Port() int { return r.port }

// Socket returns the path of the server's Unix socket.
func (r *Redis) Socket() string { return filepath.Join(r.dir, "socket") }

// URL returns the server's URL for a client that reaches it at addr: Addr, or a
// Proxy's.
func (r *Redis) URL(addr string) string { return "redis://" + addr + "/0" }

// Kill kills the server as a crash would.
func (r *Redis) Kill() { r.process.stop(syscall.SIGKILL) }

// Start starts the server again, on the same port, after Kill.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	log := filepath.Join(r.dir, "log")
	r.process = startProcess(t, nil, log, r.program, "--port", strconv.Itoa(r.port), "--bind", "127.0.0.1",
		"--unixsocket", r.Socket(), "--dir", r.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	r.process.waitReady(t, log, r.pongs)
}

// pongs reports whether the server answers, with its data loaded.
func (r *Redis) pongs(ctx context.Context) bool {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", r.Addr())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	b := make([]byte, 5)
	n, _ := conn.Read(b)
	return string(b[:n]) == "+PONG"
}

// Do runs a command with redis-cli and returns its output without the line end.
func (r *Redis) Do(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command("redis-cli", append([]string{"--raw", "-p", strconv.Itoa(r.port)}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %q: %v\n%s", args, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}
