package storetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Memcached is a memcached on loopback.
type Memcached struct {
	port    int
	dir     string
	program string
	options []string
	account *account
	process *process
}

// StartMemcached starts a server with options in addition to those for its
// address. It stops at the end of t.
func StartMemcached(t testing.TB, options ...string) *Memcached {
	t.Helper()
	m := &Memcached{
		port:    freePort(t),
		program: findProgram(t, "memcached", []string{"memcached"}, "/usr/bin"),
		options: options,
		account: findAccount(t, "memcache", "nobody"),
	}
	m.dir = dirOf(t, m.account)
	m.Start(t)
	t.Cleanup(func() { m.process.stop(syscall.SIGKILL) })
	return m
}

// Addr returns the server's address as host:port.
func (m *Memcached) Addr() string { return fmt.Sprintf("127.0.0.1:%d", m.port) }

// Kill kills the server, which loses its data.
func (m *Memcached) Kill() { m.process.stop(syscall.SIGKILL) }

// Start starts the server again, empty, on the same port, after Kill.
func (m *Memcached) Start(t testing.TB) {
	t.Helper()
	log := filepath.Join(m.dir, "log")
	args := append([]string{"-l", "127.0.0.1", "-p", strconv.Itoa(m.port), "-U", "0"}, m.options...)
	m.process = startProcess(t, m.account, log, m.program, args...)
	m.process.waitReady(t, log, func(ctx context.Context) bool {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", m.Addr())
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// Do sends commands and a quit, and returns the server's answers.
func (m *Memcached) Do(t testing.TB, commands string) string {
	t.Helper()
	conn, err := net.Dial("tcp", m.Addr())
	if err != nil {
		t.Fatalf("memcached: %v", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(commands + "\r\nquit\r\n")); err != nil {
		t.Fatalf("memcached: %v", err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("memcached: %v", err)
	}
	return string(answer)
}
