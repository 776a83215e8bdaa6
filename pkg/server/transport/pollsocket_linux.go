package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollSocket is the socket of a TCP or unix connection whose descriptor a poller
// watches. Only Linger waits.
type pollSocket struct {
	n   int // the file descriptor
	p   *Poller
	tcp bool

	late chan struct{} // has a value when there may be bytes for Linger; made when the connection ends

	mu     sync.Mutex // guards the end of the descriptor
	closed bool       // nothing is read or written any more, and n may be another's

	// For the poller's goroutine.
	queued    bool // it waits for a turn
	bulk      bool // it sends in bulk
	unread    bool // there may be more to read
	hungUp    bool // the next reads find the end
	unapplied bool // complete requests may be left of the bytes that were read
	held      bool // nothing is read or applied until the connection's Hold ends
	ending    bool // its bytes are for Linger
}

// Adopt takes a connection away from the Go runtime's poller, which would wake up for
// each of its packets too, and returns its socket. If that fails nc is as it was.
func (p *Poller) Adopt(nc net.Conn) (Socket, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	t := &pollSocket{p: p}
	_, t.tcp = nc.(*net.TCPConn)
	cerr := raw.Control(func(fd uintptr) {
		t.n, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err := errors.Join(cerr, err); err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	nc.Close()
	return t, nil
}

// Read implements [Socket].
func (t *pollSocket) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(t.n, b)
		switch {
		case err == nil && n == 0 && len(b) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err == unix.EAGAIN:
			return 0, ErrWouldBlock
		case err != unix.EINTR:
			return 0, os.NewSyscallError("read", err)
		}
	}
}

// TryWrite implements [Writer].
func (t *pollSocket) TryWrite(b []byte) (int, error) {
	n, err := rawWrite(t.n, b)
	if err == nil && n < len(b) {
		err = ErrWouldBlock
	}
	return n, err
}

// NotifyWritable implements [Writer]. It does nothing: the poller resumes the writing
// of each socket that takes more.
func (t *pollSocket) NotifyWritable(*Outbox) {}

// IsReadable implements [Socket].
func (t *pollSocket) IsReadable() bool { return t.isReady(readable) }

// IsWritable implements [Writer].
func (t *pollSocket) IsWritable() bool { return t.isReady(writable) }

func (t *pollSocket) isReady(event int16) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.closed && isReady(t.n, event)
}

// resumeReading makes the poller read the connection.
func (t *pollSocket) resumeReading(c *Conn) { t.p.resumeReading(c) }

// Close implements [Writer]. The poller then finds the end of the connection.
func (t *pollSocket) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	return unix.Shutdown(t.n, unix.SHUT_RDWR)
}

// Free implements [Socket].
func (t *pollSocket) Free() {
	t.p.unwatch(t)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	unix.Close(t.n) //nolint:errcheck // nobody is left to be told
}

// CloseWrite implements [Socket].
func (t *pollSocket) CloseWrite() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		unix.Shutdown(t.n, unix.SHUT_WR) //nolint:errcheck // the connection is about to be closed
	}
}

// Linger implements [Socket].
func (t *pollSocket) Linger(d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	var sink [32 << 10]byte
	for {
		_, err := t.Read(sink[:])
		if err == nil {
			continue
		}
		if err != ErrWouldBlock {
			return
		}
		select {
		case <-t.late:
		case <-over.C:
			return
		}
	}
}

// AckNow implements [Socket].
func (t *pollSocket) AckNow() {
	if t.tcp {
		quickAck(uintptr(t.n))
	}
}

// FD implements [Socket].
func (t *pollSocket) FD() int { return t.n }
