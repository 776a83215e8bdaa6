//go:build unix

package transport

import (
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSocketIsReadable while bytes wait that were not read. The system's answer about
// writing follows the room at the other end.
func TestSocketIsReady(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	s := NewSocket(near)
	want := func(readable, writable bool) {
		t.Helper()
		if got := s.FD() >= 0 && isReady(s.FD(), unix.POLLOUT); s.IsReadable() != readable || got != writable {
			t.Errorf("readable %v, writable %v, want %v and %v", s.IsReadable(), got, readable, writable)
		}
	}
	want(false, true)
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	want(true, true)
	if _, err := s.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	want(false, true)
	for err = nil; err == nil; {
		_, err = s.TryWrite(make([]byte, 1<<20))
	}
	if err != ErrWouldBlock {
		t.Fatal(err)
	}
	want(false, false)
	near.Close()
	want(false, false)
}
