package server

import (
	"io"
	"sync"
	"time"

	"gm/pkg/wire"
)

const (
	// shareFrom is the payload, in bytes, that an outbox refers to instead
	// of copying it: from here on a copy costs more than a write of its own.
	shareFrom = 32 << 10
	// keepTail is the largest buffer that goes back to the pool.
	keepTail = 64 << 10
)

// tails lends buffers to outboxes while they have bytes, so that an idle
// connection holds none.
var tails = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// outbox holds the bytes that a connection is owed. Any goroutine may append
// and flush. One goroutine at a time writes: the one that finds nobody at it,
// and if the socket does not take all, one that is started for as long as that
// lasts. So nobody waits for a peer that does not read.
type outbox struct {
	dst   writer
	limit int

	mu      sync.Mutex
	segs    [][]byte // full segments before tail, oldest first
	tail    *[]byte  // lent by tails, nil when empty
	size    int      // bytes not yet written, those in a writer's hands too
	writing bool     // a goroutine is in flush or drain
	err     error    // the first failed write; nothing is kept afterwards
	idle    sync.Cond

	one [1][]byte // the writer's: room for the usual single segment
}

// writer is a connection's sending half.
type writer interface {
	io.Writer
	// TryWrite writes what the other end takes at once. It returns
	// errWouldBlock with the bytes written if that is not all.
	TryWrite(b []byte) (int, error)
	SetWriteDeadline(t time.Time) error
}

func (o *outbox) init(dst writer, limit int) {
	o.dst, o.limit = dst, limit
	o.idle.L = &o.mu
}

// packet appends a packet. It reports whether the outbox is within its limit.
func (o *outbox) packet(t wire.Type, args ...[]byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return true
	}
	b := o.buffer()
	before := len(*b)
	*b = wire.Append(*b, wire.Response, t, args...)
	return o.grew(len(*b) - before)
}

// shared appends a packet whose last argument is large and never changes.
func (o *outbox) shared(t wire.Type, last []byte, args ...[]byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return true
	}
	size := len(last)
	for _, a := range args {
		size += len(a) + 1
	}
	b := o.buffer()
	before := len(*b)
	*b = wire.AppendHeader(*b, wire.Response, t, size)
	for _, a := range args {
		*b = append(append(*b, a...), 0)
	}
	o.segs = append(o.segs, *b, last)
	o.tail = nil // its buffer lives on as a segment
	return o.grew(len(*b) - before + len(last))
}

// bytes appends b as it is.
func (o *outbox) bytes(b []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return true
	}
	t := o.buffer()
	*t = append(*t, b...)
	return o.grew(len(b))
}

func (o *outbox) buffer() *[]byte {
	if o.tail == nil {
		o.tail = tails.Get().(*[]byte)
	}
	return o.tail
}

func (o *outbox) grew(n int) bool {
	o.size += n
	return o.size <= o.limit
}

// owed returns the number of bytes that wait.
func (o *outbox) owed() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}

// flush writes what the socket takes at once and leaves the rest to a
// goroutine that ends when the outbox is empty or the connection closed.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing || o.size == 0 {
		return
	}
	o.writing = true
	for o.size > 0 && o.err == nil {
		if o.write(o.dst.TryWrite) == errWouldBlock {
			go o.drain()
			return
		}
	}
	o.rest()
}

// drain is flush for a socket that is full: it waits for it.
func (o *outbox) drain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.size > 0 && o.err == nil {
		o.write(o.dst.Write) //nolint:errcheck // kept in o.err
	}
	o.rest()
}

// write takes all that is there and writes it, without holding mu meanwhile.
// What a full socket left over is put back in front.
func (o *outbox) write(write func([]byte) (int, error)) error {
	segs, tail := o.segs, o.tail
	o.segs, o.tail = nil, nil
	if segs == nil {
		segs = o.one[:0]
	}
	if tail != nil {
		segs = append(segs, *tail)
	}
	o.mu.Unlock()
	rest, n, err := writeSegments(segs, write)
	o.mu.Lock()

	o.size -= n
	switch {
	case err == errWouldBlock:
		o.segs = append(append([][]byte(nil), rest...), o.segs...)
		return err
	case err != nil:
		o.err = err
		o.segs, o.tail, o.size = nil, nil, 0
	case tail != nil && cap(*tail) <= keepTail:
		*tail = (*tail)[:0]
		tails.Put(tail)
	}
	o.one[0] = nil
	return err
}

func (o *outbox) rest() {
	o.writing = false
	o.idle.Broadcast()
}

// settle flushes and waits until all is written, the write failed, or the
// deadline has passed.
func (o *outbox) settle(deadline time.Time) {
	o.dst.SetWriteDeadline(deadline) //nolint:errcheck // fails only on a closed connection
	o.flush()
	o.mu.Lock()
	for o.writing {
		o.idle.Wait()
	}
	o.mu.Unlock()
}

// writeSegments writes segs in order. It returns what is left of them and how
// many bytes went out.
func writeSegments(segs [][]byte, write func([]byte) (int, error)) (rest [][]byte, total int, err error) {
	for i, s := range segs {
		for len(s) > 0 {
			n, err := write(s)
			s, total = s[n:], total+n
			if err != nil {
				segs[i] = s
				return segs[i:], total, err
			}
		}
	}
	return nil, total, nil
}
