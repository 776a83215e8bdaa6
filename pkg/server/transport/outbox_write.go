package transport

import (
	"net"
	"os"
	"sync"
	"time"
)

const (
	// chunk is the maximum number of bytes of a write that may wait, so that the size
	// of an outbox falls while a slow peer reads.
	chunk = 128 << 10
	// joinBelow is the size of segments, such as the header of a large packet, that
	// are written together with the beginning of the next one.
	joinBelow = 4 << 10
	// joinBytes is the maximum number of bytes that are copied for such a write.
	joinBytes = 64 << 10
)

// joins lends the buffers of such writes.
var joins = sync.Pool{New: func() any { return new([joinBytes]byte) }}

// Flush writes the bytes that the socket takes at once. The rest is written when it
// takes more.
func (o *Outbox) Flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing && o.size > 0 {
		o.writing = true
		o.writeReady()
	}
}

// resumeWriting goes on where the socket was full.
func (o *Outbox) resumeWriting() {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.full:
		o.full = false
		o.writeReady()
	case o.writing:
		o.freed = true // the writer may just have found the socket full
	}
}

// writeReady writes until all is written or the socket is full.
func (o *Outbox) writeReady() {
	for o.size > 0 && o.err == nil {
		if o.writeOnce(o.dst.TryWrite) != ErrWouldBlock {
			continue
		}
		if !o.freed {
			o.full = true
			o.dst.NotifyWritable(o)
			return
		}
		o.freed = false
	}
	o.endWriting()
}

// writeWaiting goes on where the socket was full, with a write that waits for it.
func (o *Outbox) writeWaiting(write func([]byte) (int, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.full {
		return
	}
	o.full = false
	for o.size > 0 && o.err == nil {
		o.writeOnce(func(b []byte) (int, error) { return write(b[:min(len(b), chunk)]) }) //nolint:errcheck // kept in o.err
	}
	o.endWriting()
}

// endWriting ends the task of the goroutine that writes.
func (o *Outbox) endWriting() {
	o.writing, o.freed = false, false
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// awaitWriter waits until no goroutine writes. mu is held, except meanwhile.
func (o *Outbox) awaitWriter() {
	for o.writing {
		if o.idle == nil {
			o.idle = make(chan struct{})
		}
		idle := o.idle
		o.mu.Unlock()
		<-idle
		o.mu.Lock()
	}
}

// failWith drops the bytes of the outbox and closes the connection.
func (o *Outbox) failWith(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
		o.discard()
	}
	if o.full {
		o.full = false
		o.endWriting()
	}
	o.dst.Close() // which ends a write that waits
}

// writeOnce takes all bytes and writes them, without mu meanwhile. It puts the bytes
// that a full socket did not take back in front.
func (o *Outbox) writeOnce(write func([]byte) (int, error)) error {
	segs, tail := o.segs, o.tail
	o.segs, o.tail = nil, nil
	var one [1][]byte // room for the usual single segment
	if segs == nil {
		segs = one[:0]
	}
	if tail != nil {
		segs = append(segs, *tail)
	}
	o.mu.Unlock()
	rest, err := o.writeSegments(segs, write)
	o.mu.Lock()

	switch {
	case o.err != nil: // it has failed meanwhile
		o.size = 0
		o.peers.countOut(&o.counted, 0)
		o.noteTaken()
	case err == ErrWouldBlock:
		o.segs = append(append([][]byte(nil), rest...), o.segs...)
	case err != nil:
		o.err = err
		o.discard()
	case tail != nil && cap(*tail) <= 2*keepTail:
		*tail = (*tail)[:0]
		tails.Put(tail)
	}
	return err
}

// writeSegments writes segs in order, reduces the size of the outbox with each write,
// and returns the segments that are left. A packet that is not large goes out in one
// write: GearmaNode loses a header that comes apart from its body.
func (o *Outbox) writeSegments(segs [][]byte, write func([]byte) (int, error)) (rest [][]byte, err error) {
	for i := range segs {
		for len(segs[i]) > 0 {
			var n int
			if i+1 < len(segs) && len(segs[i]) < joinBelow {
				n, err = writeJoined(segs[i], segs[i+1], write)
			} else {
				n, err = write(segs[i])
			}
			here := min(n, len(segs[i]))
			segs[i] = segs[i][here:]
			if n > here {
				segs[i+1] = segs[i+1][n-here:]
			}
			o.countWritten(n)
			if err != nil {
				return segs[i:], err
			}
		}
		segs[i] = nil
	}
	return nil, nil
}

// countWritten counts n bytes that the peer has taken. mu is not held.
func (o *Outbox) countWritten(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size -= n
	o.written += uint64(n)
	o.peers.countOut(&o.counted, o.size)
	switch {
	case n == 0:
	case o.above.Load():
		o.noteTaken()
	case o.moved != 0:
		o.moved = o.peers.now()
	}
}

// writeJoined writes head and as much of body as a join has room for.
func writeJoined(head, body []byte, write func([]byte) (int, error)) (int, error) {
	buf := joins.Get().(*[joinBytes]byte)
	defer joins.Put(buf)
	n := copy(buf[:], head)
	n += copy(buf[n:], body)
	return write(buf[:n])
}

// flushWithin flushes and waits until all is written or a write has failed. If the
// peer takes no bytes for as long as patience, or deadline has come, it gives up and
// closes the connection. A zero patience or deadline sets no limit.
func (o *Outbox) flushWithin(patience time.Duration, deadline time.Time) {
	o.Flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing {
		return
	}
	o.moved = o.peers.now()
	left := func() time.Duration {
		more := o.moved + patience - o.peers.now()
		if until := time.Until(deadline); !deadline.IsZero() && (patience <= 0 || until < more) {
			return until
		}
		return more
	}
	var timer *time.Timer
	timer = time.AfterFunc(left(), func() {
		o.mu.Lock()
		more := left()
		o.mu.Unlock()
		if more > 0 {
			timer.Reset(more)
			return
		}
		o.failWith(os.ErrDeadlineExceeded)
	})
	o.awaitWriter()
	timer.Stop()
}

// closeOutbox drops all bytes that come later, and returns when no goroutine writes
// any more. The connection should be closed already, or all bytes be written.
func (o *Outbox) closeOutbox() {
	o.failWith(net.ErrClosed)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.awaitWriter()
}
