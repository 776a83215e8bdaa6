package gearman

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gm/internal/tune"
	"gm/pkg/wire"
)

// goodbyeTimeout limits the time for the last bytes of a connection that is closed in
// order.
const goodbyeTimeout = 2 * time.Second

// errHungUp is the end of a connection that the worker has closed.
var errHungUp = errors.New("closed by the worker")

// workerConn is one connection of a slot. The slot and the running job write to it.
// The link and the slot take turns to read it; see readToken.
type workerConn struct {
	*stream
	maxPayload int
	replies    chan reply        // answers to GRAB_JOB, at most one
	greeted    atomic.Bool       // the server has sent a packet
	refusals   chan *ServerError // the oldest ERROR that is not handled yet
	dead       chan struct{}     // closed when the link and the slot no longer use the connection
	err        error             // the reason; set before dead is closed

	token  readToken   // the right to read
	packet wire.Packet // the last packet that was read
	job    int64       // number of the latest job in token; owned by the slot's goroutine

	writing sync.Mutex
	out     *wire.Writer

	ending sync.Mutex
	ended  error // the reason, if the worker ends the connection
}

// reply is the answer to GRAB_JOB: a job, or NO_JOB.
type reply struct {
	typ    wire.Type
	job    *Job  // nil for NO_JOB
	number int64 // the job's number, 0 without a job
}

// putFunc adds a packet to a write.
type putFunc func(typ wire.Type, args ...[]byte)

func newWorkerConn(st *stream, maxPayload int) *workerConn {
	st.quick = tune.NewSocket(st.nc)
	return &workerConn{
		stream: st, maxPayload: maxPayload,
		replies:  make(chan reply, 1),
		refusals: make(chan *ServerError, 1),
		dead:     make(chan struct{}),
		token:    newReadToken(),
		out:      wire.NewWriter(st),
	}
}

// write sends the packets that f puts in one write. If f fails, none is sent. The
// error wraps ErrLost if the connection has ended.
func (c *workerConn) write(f func(put putFunc) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	var failed error
	err := f(func(typ wire.Type, args ...[]byte) {
		c.traceSent(typ, args)
		if failed == nil {
			failed = c.out.Send(wire.Request, typ, args...)
		}
	})
	if err != nil {
		return err
	}
	if failed == nil {
		failed = c.out.Flush()
	}
	if failed != nil {
		c.hangUp(failed)
		return lost(c.server, failed)
	}
	return nil
}

// send sends one packet.
func (c *workerConn) send(typ wire.Type, args ...[]byte) error {
	return c.write(func(put putFunc) error {
		put(typ, args...)
		return nil
	})
}

// hangUp closes the connection at once. It keeps the first cause.
func (c *workerConn) hangUp(cause error) {
	c.ending.Lock()
	if c.ended == nil {
		c.ended = cause
	}
	c.ending.Unlock()
	c.nc.Close()
	c.token.revoke()
}

// goodbye closes the connection after the written bytes have arrived. With unread
// bytes, the kernel would discard them on a plain close.
func (c *workerConn) goodbye() {
	c.ending.Lock()
	if c.ended == nil {
		c.ended = errHungUp
	}
	c.ending.Unlock()
	c.token.revoke()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout))
		<-c.dead
	}
	c.nc.Close()
	<-c.dead
}

// finish records the reason for the end of the connection, after its reader has
// stopped.
func (c *workerConn) finish(err error) {
	c.ending.Lock()
	if c.ended != nil {
		err = c.ended
	}
	c.err = err
	c.ending.Unlock()
	c.nc.Close()
}

// assigned makes a Job of a JOB_ASSIGN in any of its forms.
func (c *workerConn) assigned(p *wire.Packet) (*Job, error) {
	if n := len(p.Args[0]); n == 0 || n > maxHandle {
		return nil, c.protocolError("%v with a handle of %d bytes", p.Type, n)
	}
	j := &Job{
		conn:     c,
		handle:   Handle(p.Args[0]),
		function: string(p.Args[1]),
		payload:  bytes.Clone(p.Last()),
	}
	if p.Type == wire.JobAssignUniq || p.Type == wire.JobAssignAll {
		j.unique = string(p.Args[2])
	}
	if p.Type == wire.JobAssignAll {
		j.reducer = string(p.Args[3])
	}
	return j, nil
}
