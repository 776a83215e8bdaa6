package gearman

import (
	"context"
	"sync"
	"time"

	"gm/pkg/wire"
)

const (
	// maxUnwritten is how much may wait for the writer before those who add to
	// it wait too, in bytes. One payload may go over it.
	maxUnwritten = 1 << 20
	// copyBelow is the payload that is copied into the writer's buffer rather
	// than written from where it lies.
	copyBelow = 32 << 10
	// answerTimeout is how long a server may be silent on a new connection, whose
	// first request it answers at once.
	answerTimeout = 30 * time.Second
	// maxHandle is the longest handle that is believed, in bytes. It is over
	// PROTOCOL's 63 as not every server minds it.
	maxHandle = 255
)

// clientConn is a client's connection to one server.
//
// A server answers submissions in their order, with JOB_CREATED or ERROR; so
// the oldest that waits gets the next. The same holds for each other kind of
// question, but answers of two kinds may overtake each other.
type clientConn struct {
	*stream
	home *clientServer

	mu        sync.Mutex
	err       error // why it ended or ends
	leaving   bool  // the server is shutting down: it ends with its last job
	deaf      bool  // the server reads no more, because a packet was too large
	said      error // what the server's last ERROR said that answered nothing
	submitted fifo[*attempt]
	jobs      map[Handle]audience
	options   int // OPTION_REQs that wait
	statuses  fifo[*question]
	uniques   fifo[*question]
	echoes    fifo[*question]

	// What waits for the writer, in order: segments of packets, and payloads
	// that are written from where they lie. unwritten is their size.
	segments  [][]byte
	open      bool // the last segment may be appended to
	unwritten int
	room      latch // the writer has taken all; somebody may wait for it

	// For use again.
	args  [][]byte // of one packet
	names []byte   // what args is in
	spare []byte   // a segment that has been written

	work    chan struct{} // tells the writer that there is something
	greeted chan struct{} // closed when the server has sent a packet
	dead    chan struct{} // closed when the reader has ended

	gone bool // home.dropped has been called; guarded by home.mu
}

// question is a request that is answered by one packet.
type question struct {
	about  string // handle or unique
	done   chan struct{}
	status Status
	data   []byte
	err    error
}

func newClientConn(home *clientServer, st *stream) *clientConn {
	c := &clientConn{
		stream: st, home: home,
		jobs:    make(map[Handle]audience),
		work:    make(chan struct{}, 1),
		greeted: make(chan struct{}),
		dead:    make(chan struct{}),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.options++
	c.putLocked(wire.OptionReq, []byte("exceptions"))
	return c
}

// submit sends a task. The error is that of a task that was not sent.
func (c *clientConn) submit(r *Running) error {
	t := r.task
	key := unique(t.Unique, t.Payload, c.home.client.opts.MaxUnique)
	if err := c.lockWithRoom(r.ctx); err != nil {
		return err
	}
	defer c.mu.Unlock()
	args, names := t.appendNames(c.args[:0], c.names, key)
	args = append(args, t.Payload)
	c.putLocked(t.packetType(), args...)
	clear(args)
	c.args, c.names = args, names
	a := &attempt{conn: c, running: r, background: t.Background}
	c.submitted.push(a)
	r.begin(a)
	return nil
}

// ask sends a question and waits for its answer.
func (c *clientConn) ask(ctx context.Context, in *fifo[*question], about string, typ wire.Type, arg []byte) (*question, error) {
	q := &question{about: about, done: make(chan struct{})}
	if err := c.lockWithRoom(ctx); err != nil {
		return nil, err
	}
	c.putLocked(typ, arg)
	in.push(q)
	c.mu.Unlock()
	select {
	case <-q.done:
		return q, q.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// lockWithRoom waits for room for a packet. Unless it returns an error, mu is
// locked.
func (c *clientConn) lockWithRoom(ctx context.Context) error {
	for {
		c.mu.Lock()
		err := c.err
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			c.mu.Unlock()
			return err
		}
		if c.unwritten < maxUnwritten {
			return nil
		}
		room := c.room.wait()
		c.mu.Unlock()
		select {
		case <-room:
		case <-c.dead:
		case <-ctx.Done():
		}
	}
}

// putLocked adds a packet to what is to be written.
func (c *clientConn) putLocked(typ wire.Type, args ...[]byte) {
	c.traceSent(typ, args)
	payload := args[len(args)-1]
	if !c.open {
		c.segments, c.open = append(c.segments, c.spare), true
		c.spare = nil
	}
	tail := &c.segments[len(c.segments)-1]
	before := len(*tail)
	if len(payload) < copyBelow {
		*tail = wire.Append(*tail, wire.Request, typ, args...)
		c.unwritten += len(*tail) - before
	} else {
		size := len(args) - 1
		for _, a := range args {
			size += len(a)
		}
		*tail = wire.AppendHeader(*tail, wire.Request, typ, size)
		for _, a := range args[:len(args)-1] {
			*tail = append(append(*tail, a...), 0)
		}
		c.unwritten += len(*tail) - before + len(payload)
		c.segments, c.open = append(c.segments, payload), false
	}
	select {
	case c.work <- struct{}{}:
	default:
	}
}

// writeLoop writes what was put. It ends with the reader.
func (c *clientConn) writeLoop() {
	var taken [][]byte
	for {
		select {
		case <-c.work:
		case <-c.dead:
			return
		}
		c.mu.Lock()
		taken, c.segments = c.segments, taken[:0]
		c.open, c.unwritten = false, 0
		c.room.release()
		c.room = latch{}
		c.mu.Unlock()
		for _, segment := range taken {
			if _, err := c.stream.Write(segment); err != nil {
				c.hangUp(err)
				return
			}
		}
		c.reuse(taken)
	}
}

// reuse keeps the first of the segments that have been written for others.
func (c *clientConn) reuse(written [][]byte) {
	if len(written) > 0 && cap(written[0]) <= 2*maxUnwritten {
		c.mu.Lock()
		c.spare = written[0][:0]
		c.mu.Unlock()
	}
	clear(written)
}

// hangUp closes the connection; the reader does the rest.
func (c *clientConn) hangUp(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.nc.Close()
}
