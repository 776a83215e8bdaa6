package gearman

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gm/pkg/wire"
)

// goodbyeTimeout is how long a connection that is closed in order may take to
// get its last bytes across.
const goodbyeTimeout = 2 * time.Second

// errHungUp is the end of a connection that the worker itself has closed.
var errHungUp = errors.New("closed by the worker")

// workerConn is one connection of a slot. The slot and the running job write
// to it, the link and the slot read in turn.
type workerConn struct {
	*stream
	maxPayload int
	replies    chan reply        // answers to GRAB_JOB; at most one is on its way
	greeted    atomic.Bool       // the server has sent a packet
	refusals   chan *ServerError // ERRORs; the oldest that nobody has looked at
	dead       chan struct{}     // closed when the link and the slot have let go of it
	err        error             // why; set before dead is closed

	turn   turn        // who reads
	packet wire.Packet // that was read last
	job    int64       // the latest, as turn numbers them; of the slot's goroutine

	writing sync.Mutex
	out     *wire.Writer

	ending sync.Mutex
	ended  error // what ends it, if the worker does
}

// reply is what a server answers to GRAB_JOB: a job, or NO_JOB.
type reply struct {
	typ  wire.Type
	job  *Job  // nil for NO_JOB
	turn int64 // the job's number
}

// putFunc adds a packet to a write.
type putFunc func(typ wire.Type, args ...[]byte)

func newWorkerConn(st *stream, maxPayload int) *workerConn {
	st.soon = newSoon(st.nc)
	return &workerConn{
		stream: st, maxPayload: maxPayload,
		replies:  make(chan reply, 1),
		refusals: make(chan *ServerError, 1),
		dead:     make(chan struct{}),
		turn:     newTurn(),
		out:      wire.NewWriter(st),
	}
}

// write sends the packets that f puts, together. If f fails none is sent. Its
// error wraps ErrLost when the connection is at its end.
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

// hangUp closes the connection at once. The first cause counts.
func (c *workerConn) hangUp(cause error) {
	c.ending.Lock()
	if c.ended == nil {
		c.ended = cause
	}
	c.ending.Unlock()
	c.nc.Close()
	c.turn.giveUp()
}

// goodbye closes the connection in order: what was written arrives first. A
// close with something unread would make the kernel throw it away.
func (c *workerConn) goodbye() {
	c.ending.Lock()
	if c.ended == nil {
		c.ended = errHungUp
	}
	c.ending.Unlock()
	c.turn.giveUp()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if ok && half.CloseWrite() == nil {
		c.nc.SetReadDeadline(time.Now().Add(goodbyeTimeout))
		<-c.dead
	}
	c.nc.Close()
	<-c.dead
}

// finish notes why the connection has ended, after its reader has.
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
