package server

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

// polled is the transport of a TCP or unix connection whose descriptor a poller
// watches. Nothing of it waits, but linger.
type polled struct {
	n   int // the file descriptor
	p   *poller
	tcp bool

	late chan struct{} // has a value when there may be something for linger; made when the connection ends

	mu     sync.Mutex // guards the end of the descriptor
	closed bool       // nothing is read or written any more, and n may be another's

	// The poller's.
	queued    bool // it is to have a turn
	bulk      bool // it has sent much
	unread    bool // there may be more to be read
	hungUp    bool // the end will be read
	unapplied bool // what was read may have whole packets yet
	held      bool // too much waits for the store: nothing is read or applied
	ending    bool // what comes is linger's
}

// adopt takes a connection away from the Go runtime's poller, which would wake
// up for each of its packets too. If that fails nc is as it was.
func (p *poller) adopt(nc net.Conn) (*polled, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	t := &polled{p: p}
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

func (t *polled) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(t.n, b)
		switch {
		case err == nil && n == 0 && len(b) > 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err == unix.EAGAIN:
			return 0, errWouldBlock
		case err != unix.EINTR:
			return 0, os.NewSyscallError("read", err)
		}
	}
}

func (t *polled) TryWrite(b []byte) (int, error) {
	n, err := rawWrite(t.n, b)
	if err == nil && n < len(b) {
		err = errWouldBlock
	}
	return n, err
}

// whenFree does nothing: the poller resumes whatever has become writable.
func (t *polled) whenFree(*outbox) {}

// Close has the poller find the end of the connection.
func (t *polled) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	return unix.Shutdown(t.n, unix.SHUT_RDWR)
}

func (t *polled) free() {
	t.p.forget(t)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	unix.Close(t.n) //nolint:errcheck // nobody is left to be told
}

func (t *polled) closeWrite() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		unix.Shutdown(t.n, unix.SHUT_WR) //nolint:errcheck // the connection is about to be closed
	}
}

func (t *polled) linger(d time.Duration) {
	over := time.NewTimer(d)
	defer over.Stop()
	var sink [32 << 10]byte
	for {
		_, err := t.Read(sink[:])
		if err == nil {
			continue
		}
		if err != errWouldBlock {
			return
		}
		select {
		case <-t.late:
		case <-over.C:
			return
		}
	}
}

func (t *polled) ackNow() {
	if t.tcp {
		quickAck(uintptr(t.n))
	}
}

func (t *polled) fd() int { return t.n }
