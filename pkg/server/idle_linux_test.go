package server_test

import (
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// An idle worker costs the server's heap little more than its connection, its
// transport and its place in the queue. Without a poller it also has a goroutine
// that reads, with a buffer of 4 KiB.
func TestIdleWorkerIsSmall(t *testing.T) {
	const workers = 500
	most := 1150
	if unpolled {
		most += 6 << 10
	}
	_, addr := start(t, server.Config{})
	asleep := append(append(req(wire.CanDo, "f"), req(wire.PreSleep)...), req(wire.EchoReq, "")...)
	fds := make([]int, 0, 1+workers)
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd) //nolint:errcheck // the test has ended
		}
	})
	fds = append(fds, dialIdle(t, addr, asleep)) // it has the server make what all share

	before := heapBytes()
	for range workers {
		fds = append(fds, dialIdle(t, addr, asleep))
	}
	each := (heapBytes() - before) / workers
	if each > most {
		t.Errorf("an idle worker has %d bytes of the heap, want at most %d", each, most)
	}
}

// dialIdle connects to a server, sends some packets, the last of which is an
// ECHO_REQ without a payload, and waits for the ECHO_RES. The socket has no memory
// of this process. The caller closes it.
func dialIdle(t *testing.T, addr string, packets []byte) (fd int) {
	t.Helper()
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, packets); err != nil {
		t.Fatal(err)
	}
	var reply [wire.HeaderSize]byte
	if n, err := unix.Read(fd, reply[:]); n != len(reply) {
		t.Fatalf("read %d bytes (%v), want ECHO_RES", n, err)
	}
	return fd
}

// heapBytes returns the bytes of all objects in use.
func heapBytes() int {
	runtime.GC()
	runtime.GC() // and what pools gave up in the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
