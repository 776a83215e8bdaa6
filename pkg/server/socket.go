package server

import (
	"net"
	"syscall"
	"time"
)

// socket is the transport of any connection: what waits for it are goroutines.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil if the connection is not a file of the system

	// TryWrite's own.
	try     func(fd uintptr) bool
	pending []byte
	n       int
	err     error

	ack func(fd uintptr) // nil if the system can't be told to
}

func newSocket(c net.Conn) *socket {
	s := &socket{Conn: c}
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.try = func(fd uintptr) bool {
		s.n, s.err = rawWrite(int(fd), s.pending)
		return true
	}
	if _, ok := c.(*net.TCPConn); ok {
		s.ack = quickAck
	}
	return s
}

func (s *socket) ackNow() {
	if s.raw != nil && s.ack != nil {
		s.raw.Control(s.ack) //nolint:errcheck // fails only on a closed connection
	}
}

// TryWrite takes nothing if the connection only knows how to wait.
func (s *socket) TryWrite(b []byte) (int, error) {
	if s.raw == nil {
		return 0, errWouldBlock
	}
	s.pending = b
	err := s.raw.Write(s.try)
	s.pending = nil
	if err == nil {
		err = s.err
	}
	if err != nil {
		return 0, err
	}
	if s.n < len(b) {
		return s.n, errWouldBlock
	}
	return s.n, nil
}

func (s *socket) whenFree(o *outbox) { go o.drain(s.Write) }

func (s *socket) free() { s.Close() }

func (s *socket) fd() int {
	fd := -1
	if s.raw != nil {
		s.raw.Control(func(f uintptr) { fd = int(f) }) //nolint:errcheck // fails only on a closed connection
	}
	return fd
}

func (s *socket) closeWrite() {
	if cw, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		cw.CloseWrite() //nolint:errcheck // the connection is about to be closed
	}
}

func (s *socket) linger(d time.Duration) {
	s.SetReadDeadline(time.Now().Add(d)) //nolint:errcheck // fails only on a closed connection
	var sink [32 << 10]byte
	for {
		if _, err := s.Read(sink[:]); err != nil {
			return
		}
	}
}
