package gearman

import (
	"context"
	"sync"
	"time"

	"gm/pkg/wire"
)

const (
	// maxUnwritten is the number of bytes that may wait for the writer before
	// further submissions block. One payload may exceed it.
	maxUnwritten = 1 << 20
	// copyBelow is the size in bytes below which a payload is copied into the
	// writer's buffer. A larger one is written from its own memory.
	copyBelow = 32 << 10
	// answerTimeout limits the time until a server answers the first request of a
	// connection.
	answerTimeout = 30 * time.Second
	// maxHandle is the maximum length of a handle in bytes. It exceeds the 63 bytes
	// of PROTOCOL because some servers do.
	maxHandle = 255
)

// clientConn is a client's connection to one server.
//
// A server answers submissions in their order, with JOB_CREATED or ERROR, so that
// the oldest one gets the next answer. The same is true of each other kind of
// request, but answers to requests of two kinds may overtake each other.
type clientConn struct {
	*stream
	home *clientServer

	mu        sync.Mutex
	err       error // why it ended or ends
	leaving   bool  // the server is shutting down: it ends with its last job
	deaf      bool  // the server reads no further packets, because one was too large
	lastError error // the last ERROR of the server that answered no request
	submitted fifo[*attempt]
	jobs      map[Handle]audience
	options   []string // OPTION_REQs that wait
	once      bool     // the server has accepted OptionOnce
	statuses  fifo[*question]
	uniques   fifo[*question]
	echoes    fifo[*question]

	// The bytes that wait for the writer, in order: segments of packets, and large
	// payloads. unwritten is their size.
	segments  [][]byte
	open      bool // the last segment may be appended to
	unwritten int
	room      latch // released when the writer has all bytes

	// Memory for reuse.
	args        [][]byte // of one packet
	names       []byte   // the bytes of args
	freeSegment []byte   // a segment that has been written

	work    chan struct{} // wakes the writer
	greeted chan struct{} // closed when the server has sent a packet
	dead    chan struct{} // closed when the reader has ended

	dropped bool // home.dropped has been called; guarded by home.mu
}

// question is a request that one packet answers.
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
	c.requestOptions()
	return c
}

// sendTask sends a task. It returns an error if the task was not sent.
func (c *clientConn) sendTask(r *Running) error {
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
	r.beginAttempt(a)
	return nil
}

// askQuestion sends a question and waits for its answer.
func (c *clientConn) askQuestion(ctx context.Context, in *fifo[*question], about string, typ wire.Type, arg []byte) (*question, error) {
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

// putLocked adds a packet to the bytes for the writer.
func (c *clientConn) putLocked(typ wire.Type, args ...[]byte) {
	c.traceSent(typ, args)
	payload := args[len(args)-1]
	if !c.open {
		c.segments, c.open = append(c.segments, c.freeSegment), true
		c.freeSegment = nil
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

// writeLoop writes the packets that were put. It ends with the reader.
func (c *clientConn) writeLoop() {
	var batch [][]byte
	for {
		select {
		case <-c.work:
		case <-c.dead:
			return
		}
		c.mu.Lock()
		batch, c.segments = c.segments, batch[:0]
		c.open, c.unwritten = false, 0
		c.room.release()
		c.room = latch{}
		c.mu.Unlock()
		for _, segment := range batch {
			if _, err := c.stream.Write(segment); err != nil {
				c.hangUp(err)
				return
			}
		}
		c.reuse(batch)
	}
}

// reuse keeps the memory of the first written segment.
func (c *clientConn) reuse(written [][]byte) {
	if len(written) > 0 && cap(written[0]) <= 2*maxUnwritten {
		c.mu.Lock()
		c.freeSegment = written[0][:0]
		c.mu.Unlock()
	}
	clear(written)
}

// hangUp closes the connection. The reader then fails the waiting tasks.
func (c *clientConn) hangUp(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.nc.Close()
}
