package transport

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSocket is a socket in memory that takes as many bytes as it has room for.
type fakeSocket struct {
	mu       sync.Mutex
	room     int // bytes that it takes yet
	written  []byte
	lengths  []int // of the writes that took bytes
	waits    bool  // NotifyWritable was called since the last write that took bytes
	fails    error // of the next writes
	ready    bool  // it has bytes to read, and takes more, though nobody reads or writes
	closed   bool
	half     bool // CloseWrite was called
	freed    bool
	lingered time.Duration
}

func (s *fakeSocket) Read([]byte) (int, error) { return 0, ErrWouldBlock }

func (s *fakeSocket) TryWrite(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, errors.New("closed")
	case s.fails != nil:
		return 0, s.fails
	}
	n := min(len(b), s.room)
	s.room -= n
	s.written = append(s.written, b[:n]...)
	if n > 0 {
		s.lengths = append(s.lengths, n)
		s.waits = false
	}
	if n < len(b) {
		return n, ErrWouldBlock
	}
	return n, nil
}

func (s *fakeSocket) IsReadable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

func (s *fakeSocket) IsWritable() bool { return s.IsReadable() }

// setReady makes the socket ready, or not.
func (s *fakeSocket) setReady(ready bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ready = ready
}

func (s *fakeSocket) NotifyWritable(*Outbox) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = true
}

func (s *fakeSocket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *fakeSocket) Free()                  { s.freed = true }
func (s *fakeSocket) CloseWrite()            { s.half = true }
func (s *fakeSocket) Linger(d time.Duration) { s.lingered = d }
func (s *fakeSocket) AckNow()                {}
func (s *fakeSocket) FD() int                { return -1 }

// setRoom gives the socket room for n bytes.
func (s *fakeSocket) setRoom(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = n
}

// isClosed reports whether Close was called.
func (s *fakeSocket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// take gives the socket room for n bytes, as its other end reads, and makes the outbox
// go on.
func (s *fakeSocket) take(o *Outbox, n int) {
	s.setRoom(n)
	o.resumeWriting()
}

// idleHandler is the handler of a connection that nobody reads.
type idleHandler struct {
	mu     sync.Mutex
	why    error           // of the first call of Drop
	onDrop func(why error) // or nil
}

func (h *idleHandler) Fill([]byte) (int, bool, error) { return 0, false, io.EOF }
func (h *idleHandler) Apply() (Applied, error)        { return Applied{}, nil }
func (h *idleHandler) Release() (pending, kept int)   { return 0, 0 }
func (h *idleHandler) Lane() Lane                     { return FirstLane }
func (h *idleHandler) End(error)                      {}

func (h *idleHandler) Drop(why error) {
	h.mu.Lock()
	first := h.why == nil
	if first {
		h.why = why
	}
	h.mu.Unlock()
	if first && h.onDrop != nil {
		h.onDrop(why)
	}
}

// dropped returns the reason of the first call of Drop, nil if there was none.
func (h *idleHandler) dropped() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.why
}

// fakeConn is a connection with a socket in memory.
type fakeConn struct {
	*Conn
	socket  *fakeSocket
	handler *idleHandler
}

// newFakeConn returns a connection that no goroutine reads: see isResumed.
func newFakeConn(p *Peers) fakeConn {
	c := fakeConn{Conn: new(Conn), socket: new(fakeSocket), handler: new(idleHandler)}
	c.Init(c.socket, p, c.handler, false)
	return c
}

// isResumed reports whether the reading was made to go on since the last call.
func (c fakeConn) isResumed() bool {
	select {
	case <-c.resumed:
		return true
	default:
		return false
	}
}

// newTestPeers returns the shared part of connections, without a sweep.
func newTestPeers(cfg Config) *Peers {
	if cfg.Outbox == 0 {
		cfg.Outbox = 64 << 20
	}
	if cfg.Sweep == nil {
		cfg.Sweep = func() {}
	}
	p := NewPeers(cfg)
	p.start = p.start.Add(-time.Second)
	return p
}

// pattern returns n bytes that differ from those at other places of a stream.
func pattern(from, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		at := from + i
		b[i] = byte(at ^ at>>8 ^ at>>16)
	}
	return b
}

// wantStream compares the bytes that were written with the beginning of the pattern.
func (s *fakeSocket) wantStream(t *testing.T, n int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.written) != n {
		t.Errorf("%d bytes were written, want %d", len(s.written), n)
	}
	if !bytes.Equal(s.written, pattern(0, len(s.written))) {
		t.Error("the bytes were written in another order")
	}
}
