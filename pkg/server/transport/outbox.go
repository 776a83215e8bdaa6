package transport

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ShareFrom is the length from which an outbox refers to the last bytes of Append
	// instead of copying them: copying more costs more than a second write.
	ShareFrom = 32 << 10
	// keepTail is the size at which a tail becomes a segment, and the largest
	// buffer that goes back to the pool.
	keepTail = 64 << 10
)

// tails lends buffers to outboxes while they have bytes, so that an idle connection
// holds none.
var tails = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Outbox holds the bytes for one peer that its socket has not taken yet. Any goroutine
// may append and flush. One goroutine at a time writes: the one that flushes while no
// other writes. Bytes that the socket does not take are written when it takes more. So
// no goroutine waits for a peer that does not read.
type Outbox struct {
	dst   Writer // a Socket, except in tests
	peers *Peers
	drop  func(why error) // called, without mu, when the peer has taken nothing for Peers.patience

	segs    [][]byte      // full segments before tail, oldest first
	tail    *[]byte       // lent by tails, nil when empty
	counted int           // part of size that Peers has counted
	written uint64        // bytes, ever
	size    int           // bytes not yet written, including those that are being written
	err     error         // the first failed write; nothing is kept afterwards
	moved   time.Duration // Peers.now when the peer last took bytes, while above is true or flushWithin waits; or 0
	idle    chan struct{} // closed when writing becomes false; nil if no goroutine waits for that
	slow    *slowPeer     // nil before above is true the first time
	mu      sync.Mutex
	above   atomic.Bool // more bytes than Peers.mark wait; false again from half of it on
	writing bool        // a goroutine writes, or one will when the socket is not full
	full    bool        // no goroutine writes, and one will when the socket is not full
	freed   bool        // the socket has not been full since this was set
	gone    bool        // no more bytes come for the peer
}

func (o *Outbox) init(dst Writer, p *Peers, drop func(why error)) {
	o.dst, o.peers, o.drop = dst, p, drop
}

// Append appends head and last. It copies both, except a last of ShareFrom bytes or
// more, which must never change. It reports whether the outbox is within its limit.
// A last without a head is never refused for its own length: then it reports whether
// the outbox was within its limit before.
func (o *Outbox) Append(head, last []byte) (within bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(head) + len(last)
	if o.err != nil || n == 0 {
		return true
	}
	within = o.size <= o.peers.limit
	if len(last) >= ShareFrom {
		o.appendLarge(head, last)
	} else {
		b := o.buffer()
		*b = append(append(*b, head...), last...)
	}
	after := o.countAppended(n)
	return after || within && len(head) == 0
}

// AppendFunc appends the bytes that encode appends to its argument. They must be few:
// less than ShareFrom bytes in each piece. It reports whether the outbox is within its
// limit.
func (o *Outbox) AppendFunc(encode func(dst []byte) []byte) (within bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return true
	}
	b := o.buffer()
	before := len(*b)
	*b = encode(*b)
	return o.countAppended(len(*b) - before)
}

// appendLarge appends head, and last as a segment of its own.
func (o *Outbox) appendLarge(head, last []byte) {
	if len(head) > 0 {
		b := o.buffer()
		*b = append(*b, head...)
	}
	if o.tail != nil {
		o.segs = append(o.segs, *o.tail)
		o.tail = nil // its buffer lives on as a segment
	}
	o.segs = append(o.segs, last)
}

// buffer returns the tail to append to.
func (o *Outbox) buffer() *[]byte {
	if o.tail != nil && len(*o.tail) >= keepTail {
		o.segs = append(o.segs, *o.tail)
		o.tail = nil
	}
	if o.tail == nil {
		o.tail = tails.Get().(*[]byte)
	}
	return o.tail
}

// countAppended counts n new bytes, and reports whether the outbox is within its
// limit.
func (o *Outbox) countAppended(n int) bool {
	o.size += n
	o.peers.countOut(&o.counted, o.size)
	if o.size > o.peers.mark && !o.above.Load() {
		o.noteAboveMark()
	}
	return o.size <= o.peers.limit
}

// discard drops all bytes, which nobody will write.
func (o *Outbox) discard() {
	o.segs, o.tail, o.size = nil, nil, 0
	o.peers.countOut(&o.counted, 0)
	o.noteTaken()
}

// Size returns the number of bytes that are not written yet.
func (o *Outbox) Size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}

// writtenBytes returns how many bytes the peer has taken.
func (o *Outbox) writtenBytes() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written
}

// HasFailed reports whether nothing more will be written.
func (o *Outbox) HasFailed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err != nil
}
