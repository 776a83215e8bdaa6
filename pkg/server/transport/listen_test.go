package transport_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"gm/pkg/server/transport"
)

func TestUnixSocketOfADeadServerIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gm.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := transport.Listen(t.Context(), "unix:"+path)
	if err != nil {
		t.Fatalf("listen over a stale socket: %v", err)
	}
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestUnixSocketIsNotMadeOverAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte("keep"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := transport.Listen(t.Context(), "unix:"+path); err == nil {
		l.Close()
		t.Error("it listens where a file was")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "keep" {
		t.Errorf("the file: %q, %v", b, err)
	}
}

// TestListenPatiently waits for an address in use until it is free, and gives up at once
// if a server answers there.
func TestListenPatiently(t *testing.T) {
	dead, err := transport.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := dead.Addr().String()
	go func() {
		for {
			nc, err := dead.Accept()
			if err != nil {
				return
			}
			nc.Close() // the first attempt to listen has failed: now the address becomes free
			dead.Close()
		}
	}()
	l, err := transport.ListenPatiently(t.Context(), addr, time.Minute)
	if err != nil {
		t.Fatalf("listen on an address that becomes free: %v", err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := nc.Read(make([]byte, 100)); err == nil {
				nc.Write([]byte("1\r\n")) //nolint:errcheck // the other end misses it
			}
			nc.Close()
		}
	}()
	if second, err := transport.ListenPatiently(t.Context(), addr, time.Hour); err == nil {
		second.Close()
		t.Error("a second server listens on the address of a live one")
	} else if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the address of a live server: %v, want %v", err, syscall.EADDRINUSE)
	}
}
