package transport

import (
	"net"
	"syscall"
	"time"
)

// netSocket is the socket of a connection that a goroutine reads.
type netSocket struct {
	net.Conn
	raw syscall.RawConn // nil if the connection is not a file of the system

	// For TryWrite.
	try     func(fd uintptr) bool
	pending []byte
	n       int
	err     error

	ack func(fd uintptr) // nil if the system has no such call
}

// NewSocket returns the socket of a connection that a goroutine reads.
func NewSocket(c net.Conn) Socket {
	s := &netSocket{Conn: c}
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

// AckNow implements [Socket].
func (s *netSocket) AckNow() {
	if s.raw != nil && s.ack != nil {
		s.raw.Control(s.ack) //nolint:errcheck // fails only on a closed connection
	}
}

// TryWrite implements [Writer]. It writes nothing to a connection whose writes can only
// wait.
func (s *netSocket) TryWrite(b []byte) (int, error) {
	if s.raw == nil {
		return 0, ErrWouldBlock
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
		return s.n, ErrWouldBlock
	}
	return s.n, nil
}

// IsWritable implements [Writer]. It is false: a goroutine waits in the write.
func (s *netSocket) IsWritable() bool { return false }

// IsReadable implements [Socket].
func (s *netSocket) IsReadable() (ready bool) {
	if s.raw != nil {
		s.raw.Control(func(fd uintptr) { ready = isReady(int(fd), readable) }) //nolint:errcheck // fails only on a closed connection
	}
	return ready
}

// NotifyWritable implements [Writer]: a goroutine writes, and waits for the other end.
func (s *netSocket) NotifyWritable(o *Outbox) { go o.writeWaiting(s.Write) }

// Free implements [Socket].
func (s *netSocket) Free() { s.Close() }

// FD implements [Socket].
func (s *netSocket) FD() int {
	fd := -1
	if s.raw != nil {
		s.raw.Control(func(f uintptr) { fd = int(f) }) //nolint:errcheck // fails only on a closed connection
	}
	return fd
}

// CloseWrite implements [Socket].
func (s *netSocket) CloseWrite() {
	if cw, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		cw.CloseWrite() //nolint:errcheck // the connection is about to be closed
	}
}

// Linger implements [Socket].
func (s *netSocket) Linger(d time.Duration) {
	s.SetReadDeadline(time.Now().Add(d)) //nolint:errcheck // fails only on a closed connection
	var sink [32 << 10]byte
	for {
		if _, err := s.Read(sink[:]); err != nil {
			return
		}
	}
}
