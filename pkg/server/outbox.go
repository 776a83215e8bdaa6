package server

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gm/pkg/wire"
)

const (
	// shareFrom is the payload, in bytes, that an outbox refers to instead
	// of copying it: copying a larger one costs more than a second write.
	shareFrom = 32 << 10
	// keepTail is the size at which a tail becomes a segment, and the largest
	// buffer that goes back to the pool.
	keepTail = 64 << 10
	// chunk is the most bytes of one write that may wait, so that the size of an
	// outbox falls while a slow peer reads.
	chunk = 128 << 10
	// joinBelow is the size of segments, such as the header of a large packet,
	// that are written together with the beginning of the next one.
	joinBelow = 4 << 10
	// joinBytes is the most that is copied for such a write.
	joinBytes = 64 << 10
)

// joins lends the buffers of such writes.
var joins = sync.Pool{New: func() any { return new([joinBytes]byte) }}

// tails lends buffers to outboxes while they have bytes, so that an idle
// connection holds none.
var tails = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// outbox holds the bytes that a connection is owed. Any goroutine may append
// and flush. One goroutine at a time writes: the one that flushes while no other
// writes. Bytes that the socket does not take are written when its transport
// reports that it takes more. So no goroutine waits for a peer that does not read.
type outbox struct {
	dst     writer
	limits  *outboxLimits
	stalled func() // called, without mu, when limits.patience is over

	segs    [][]byte      // full segments before tail, oldest first
	tail    *[]byte       // lent by tails, nil when empty
	counted int           // of size, in limits.peers
	written uint64        // bytes, ever
	size    int           // bytes not yet written, including those that are being written
	err     error         // the first failed write; nothing is kept afterwards
	moved   time.Duration // limits.now when the peer last took bytes, while settle waits or over is true; or 0
	idle    chan struct{} // closed when writing becomes false; nil if no goroutine waits for that
	slow    *slowPeer     // nil before over is true the first time
	mu      sync.Mutex
	over    atomic.Bool // more than limits.mark waits; it is false again from half of it on
	writing bool        // a goroutine writes, or one will when the socket is not full
	full    bool        // no goroutine writes, and one will when the socket is not full
	freed   bool        // the socket has not been full since this was set
	gone    bool        // nothing more comes for the peer
}

// slowPeer is the part of an outbox that exists only after its peer was slow.
type slowPeer struct {
	below []func()    // to be called when over is false
	stall *time.Timer // runs while over is true; nil if patience has no end
}

// outboxLimits are the same for all outboxes of a server.
type outboxLimits struct {
	peers    *peerMemory   // counts the bytes of all outboxes
	most     int           // bytes; a peer whose outbox has more is dropped
	mark     int           // bytes above which senders wait
	patience time.Duration // for a peer that takes no bytes while its outbox is above mark; no end if it is 0
	start    time.Time     // of now
}

const (
	// outboxMark is the size of an outbox above which senders wait, in bytes.
	outboxMark = 4 << 20
	leastMark  = 256 << 10 // where memory is short
)

// newOutboxLimits returns the limits of a server's outboxes.
func newOutboxLimits(peers *peerMemory, most int, patience time.Duration) outboxLimits {
	mark := min(outboxMark, most/2)
	if peers.bound > 0 {
		mark = min(mark, max(int(peers.bound/16), leastMark))
	}
	return outboxLimits{peers: peers, most: most, mark: mark, patience: patience, start: time.Now()}
}

// now returns the time since some moment before the first outbox. It is never 0.
func (l *outboxLimits) now() time.Duration { return max(time.Since(l.start), 1) }

func (o *outbox) init(dst writer, limits *outboxLimits, stalled func()) {
	o.dst, o.limits, o.stalled = dst, limits, stalled
}

// appendReply appends head and last. It copies both, except a last of shareFrom
// bytes or more, which must never change. It reports whether the outbox is within
// its limit. A reply without a head is text: it is never refused for its own length,
// so the report is that of before.
func (o *outbox) appendReply(head, last []byte) (within bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(head) + len(last)
	if o.err != nil || n == 0 {
		return true
	}
	within = o.size <= o.limits.most
	if len(last) >= shareFrom {
		o.appendLarge(head, last)
	} else {
		b := o.buffer()
		*b = append(append(*b, head...), last...)
	}
	after := o.grew(n)
	return after || within && len(head) == 0
}

// appendPacket appends a packet and copies its arguments, none of which has shareFrom
// bytes. It reports whether the outbox is within its limit.
func (o *outbox) appendPacket(t wire.Type, args ...[]byte) (within bool) {
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

// appendLarge appends head, and last as a segment of its own.
func (o *outbox) appendLarge(head, last []byte) {
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

// appendHead appends a packet without its last argument, which has n bytes.
func appendHead(dst []byte, t wire.Type, n int, args [][]byte) []byte {
	for _, a := range args {
		n += len(a) + 1
	}
	dst = wire.AppendHeader(dst, wire.Response, t, n)
	for _, a := range args {
		dst = append(append(dst, a...), 0)
	}
	return dst
}

// progressed returns how many bytes the peer has taken.
func (o *outbox) progressed() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.written
}

// failed reports whether nothing more will be written.
func (o *outbox) failed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err != nil
}

// buffer returns the tail to append to.
func (o *outbox) buffer() *[]byte {
	if o.tail != nil && len(*o.tail) >= keepTail {
		o.segs = append(o.segs, *o.tail)
		o.tail = nil
	}
	if o.tail == nil {
		o.tail = tails.Get().(*[]byte)
	}
	return o.tail
}

func (o *outbox) grew(n int) bool {
	o.size += n
	o.limits.peers.countOut(&o.counted, o.size)
	if o.size > o.limits.mark && !o.over.Load() {
		o.rise()
	}
	return o.size <= o.limits.most
}

// rise notes that more than mark waits.
func (o *outbox) rise() {
	o.over.Store(true)
	o.moved = o.limits.now()
	if o.slow == nil {
		o.slow = new(slowPeer)
	}
	switch {
	case o.limits.patience <= 0:
	case o.slow.stall == nil:
		o.slow.stall = time.AfterFunc(o.limits.patience, o.checkStall)
	default:
		o.slow.stall.Reset(o.limits.patience)
	}
}

// fell notes that the peer has taken bytes, or that the outbox was emptied.
func (o *outbox) fell() {
	if !o.over.Load() {
		return
	}
	o.moved = o.limits.now()
	if o.size > o.limits.mark/2 && o.err == nil {
		return
	}
	o.over.Store(false)
	if o.slow.stall != nil {
		o.slow.stall.Stop()
	}
	o.release()
}

// whenBelow calls f once, with mu held, when over is false, at once if it is.
// f must not wait.
func (o *outbox) whenBelow(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gone || !o.over.Load() {
		f()
		return
	}
	o.slow.below = append(o.slow.below, f)
}

// letGo releases the senders that wait for a peer that counts as gone.
func (o *outbox) letGo() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = true
	o.release()
}

// release calls the functions of waiting senders.
func (o *outbox) release() {
	if o.slow == nil {
		return
	}
	for _, f := range o.slow.below {
		f()
	}
	o.slow.below = nil
}

// progress notes that the peer is alive: it sends.
func (o *outbox) progress() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.moved = o.limits.now()
}

// checkStall is called by the stall timer. It drops a peer that takes nothing.
func (o *outbox) checkStall() {
	o.mu.Lock()
	left := o.limits.patience - (o.limits.now() - o.moved)
	over := o.over.Load()
	if over && left > 0 {
		o.slow.stall.Reset(left)
	}
	o.mu.Unlock()
	if over && left <= 0 {
		o.stalled()
	}
}

// owed returns the size in bytes.
func (o *outbox) owed() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.size
}

// flush writes the bytes that the socket takes at once. The rest is written when
// it takes more.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing && o.size > 0 {
		o.writing = true
		o.pump()
	}
}

// resume goes on where the socket was full.
func (o *outbox) resume() {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.full:
		o.full = false
		o.pump()
	case o.writing:
		o.freed = true // it may just have found it full
	}
}

// pump writes until all is written or the socket is full.
func (o *outbox) pump() {
	for o.size > 0 && o.err == nil {
		if o.write(o.dst.TryWrite) != errWouldBlock {
			continue
		}
		if !o.freed {
			o.full = true
			o.dst.whenFree(o)
			return
		}
		o.freed = false
	}
	o.rest()
}

// drain goes on where the socket was full, with a write that waits for it.
func (o *outbox) drain(write func([]byte) (int, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.full {
		return
	}
	o.full = false
	for o.size > 0 && o.err == nil {
		o.write(func(b []byte) (int, error) { return write(b[:min(len(b), chunk)]) }) //nolint:errcheck // kept in o.err
	}
	o.rest()
}

// rest ends the writer's work.
func (o *outbox) rest() {
	o.writing, o.freed = false, false
	if o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// awaitIdle waits until no goroutine writes. mu is held, except meanwhile.
func (o *outbox) awaitIdle() {
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

// fail drops the bytes of the outbox and closes the connection.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
		o.segs, o.tail, o.size = nil, nil, 0
		o.limits.peers.countOut(&o.counted, 0)
		o.fell()
	}
	if o.full {
		o.full = false
		o.rest()
	}
	o.dst.Close() // which ends a write that waits
}

// write takes all bytes and writes them, without holding mu meanwhile. It puts the
// bytes that a full socket did not take back in front.
func (o *outbox) write(write func([]byte) (int, error)) error {
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
		o.limits.peers.countOut(&o.counted, 0)
		o.fell()
	case err == errWouldBlock:
		o.segs = append(append([][]byte(nil), rest...), o.segs...)
	case err != nil:
		o.err = err
		o.segs, o.tail, o.size = nil, nil, 0
		o.limits.peers.countOut(&o.counted, 0)
		o.fell()
	case tail != nil && cap(*tail) <= 2*keepTail:
		*tail = (*tail)[:0]
		tails.Put(tail)
	}
	return err
}

// writeSegments writes segs in order, reduces the size of the outbox with each
// write, and returns the segments that are left. A packet that is not large goes
// out in one write: GearmaNode loses a header that comes apart from its body.
func (o *outbox) writeSegments(segs [][]byte, write func([]byte) (int, error)) (rest [][]byte, err error) {
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
			o.mu.Lock()
			o.size -= n
			o.written += uint64(n)
			o.limits.peers.countOut(&o.counted, o.size)
			switch {
			case n == 0:
			case o.over.Load():
				o.fell()
			case o.moved != 0:
				o.moved = o.limits.now()
			}
			o.mu.Unlock()
			if err != nil {
				return segs[i:], err
			}
		}
		segs[i] = nil
	}
	return nil, nil
}

// writeJoined writes head and as much of body as a join has room for.
func writeJoined(head, body []byte, write func([]byte) (int, error)) (int, error) {
	buf := joins.Get().(*[joinBytes]byte)
	defer joins.Put(buf)
	n := copy(buf[:], head)
	n += copy(buf[n:], body)
	return write(buf[:n])
}

// settle flushes and waits until all is written or a write has failed. If
// nothing could be written for as long as patience, or deadline has come, it
// gives up and closes the connection. A zero patience or deadline sets no limit.
func (o *outbox) settle(patience time.Duration, deadline time.Time) {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.writing {
		return
	}
	o.moved = o.limits.now()
	left := func() time.Duration {
		more := o.moved + patience - o.limits.now()
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
		o.fail(os.ErrDeadlineExceeded)
	})
	o.awaitIdle()
	timer.Stop()
}

// close drops all bytes that come later, and returns when no goroutine writes any
// more. The connection should be closed already, or all bytes be written.
func (o *outbox) close() {
	o.fail(net.ErrClosed)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.awaitIdle()
}
