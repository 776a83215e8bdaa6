package server

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// errWouldBlock says that the other end takes no more for now.
var errWouldBlock = errors.New("would block")

// socket is a connection that can be written without waiting.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil if the connection is not a file of the system

	// TryWrite's own: one call at a time.
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

// ackNow has what was read acknowledged at once, where the system can do so.
func (s *socket) ackNow() {
	if s.raw != nil && s.ack != nil {
		s.raw.Control(s.ack) //nolint:errcheck // fails only on a closed connection
	}
}

// TryWrite writes what the socket takes at once and returns errWouldBlock if
// that is not all. A connection that only knows how to wait takes nothing.
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

// fd returns the number of the connection's file descriptor, -1 if it has
// none. It is only for people to look at.
func (s *socket) fd() int {
	fd := -1
	if s.raw != nil {
		s.raw.Control(func(f uintptr) { fd = int(f) }) //nolint:errcheck // fails only on a closed connection
	}
	return fd
}

// closeWrite tells the other end that nothing more comes, where that can be
// told without closing.
func (s *socket) closeWrite() {
	if cw, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		cw.CloseWrite() //nolint:errcheck // the connection is about to be closed
	}
}

// linger reads and drops what the other end has sent until it closes, for at
// most d. Closing with unread bytes would reset the connection, and the last
// reply could be lost with it.
func (s *socket) linger(d time.Duration) {
	s.closeWrite()
	s.SetReadDeadline(time.Now().Add(d)) //nolint:errcheck // fails only on a closed connection
	var sink [4 << 10]byte
	for {
		if _, err := s.Read(sink[:]); err != nil {
			return
		}
	}
}
