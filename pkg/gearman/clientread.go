package gearman

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"gm/pkg/wire"
)

// This file reads the packets of a client's connection and passes each to the task
// or question that it answers.

// readLoop reads the server's packets until the connection ends. Then it fails the
// tasks and questions that still wait.
func (c *clientConn) readLoop() {
	var p wire.Packet
	first := true
	silent := time.AfterFunc(answerTimeout, func() {
		c.hangUp(fmt.Errorf("no answer within %v", answerTimeout))
	})
	defer silent.Stop()
	for {
		err := c.nextPacket(&p)
		if err == nil {
			if first {
				first = false
				silent.Stop()
				c.home.answered()
				close(c.greeted)
			}
			err = c.handle(&p)
		}
		if err == errNoAnswer && !c.home.answers() { // a Gearman server would have answered
			err = c.protocolError("%w", err)
		}
		if errors.Is(err, wire.ErrTooLarge) {
			err = c.skipLarge(err)
		}
		if err != nil {
			c.hangUp(err)
			c.failWaiting()
			return
		}
	}
}

// handle processes a packet.
func (c *clientConn) handle(p *wire.Packet) error {
	switch p.Type {
	case wire.JobCreated:
		return c.onCreated(p)
	case wire.WorkData, wire.WorkWarning, wire.WorkStatus:
		c.onWork(p, false)
	case wire.WorkComplete, wire.WorkFail, wire.WorkException:
		c.onWork(p, true)
	case wire.Error:
		c.onError(&ServerError{Code: string(p.Args[0]), Text: string(p.Args[1])})
	case wire.StatusRes:
		return c.onStatus(&c.statuses, p)
	case wire.StatusResUnique:
		return c.onStatus(&c.uniques, p)
	case wire.EchoRes:
		return c.onEcho(p)
	case wire.OptionRes:
		c.onOption(string(p.Args[0]))
	case wire.Noop: // for workers; some servers send it to all
	default:
		return c.protocolError("%v to a client", p.Type)
	}
	return nil
}

func (c *clientConn) onCreated(p *wire.Packet) error {
	if n := len(p.Args[0]); n == 0 || n > maxHandle {
		return c.protocolError("JOB_CREATED with a handle of %d bytes", n)
	}
	h := Handle(p.Args[0])
	c.mu.Lock()
	a, ok := c.submitted.pop()
	if !ok {
		c.mu.Unlock()
		return c.protocolError("JOB_CREATED %q without a submission", h)
	}
	a.handle, a.once = h, c.once
	if !a.background {
		c.jobs[h] = c.jobs[h].with(a)
	}
	r := a.running
	c.mu.Unlock()
	c.home.client.remember(h, c.home)
	if r != nil {
		r.deliver(a, p)
	}
	return nil
}

// onWork passes a packet to the task of its job. It drops a packet of an unknown
// job, because workers may send a WORK_FAIL after an exception.
func (c *clientConn) onWork(p *wire.Packet, last bool) {
	if a, r := c.recipient(Handle(p.Args[0]), last); r != nil {
		r.deliver(a, p)
	}
	if last {
		c.leaveIfIdle()
	}
}

// recipient returns the attempt that gets the next packet of a job, nil if there is
// none.
func (c *clientConn) recipient(h Handle, last bool) (*attempt, *Running) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, alone := c.jobs[h].nextAttempt(last)
	if a == nil {
		return nil, nil
	}
	if last && alone {
		delete(c.jobs, h)
	}
	return a, a.running
}

// skipLarge discards a packet that exceeds the limit, in constant memory, and fails
// its job. Any other packet of that size ends the connection with err.
func (c *clientConn) skipLarge(err error) error {
	var header [wire.HeaderSize]byte
	if _, err := io.ReadFull(c.in, header[:]); err != nil {
		return err
	}
	typ := wire.Type(binary.BigEndian.Uint32(header[4:]))
	size := int64(binary.BigEndian.Uint32(header[8:]))
	last := false
	switch typ {
	case wire.WorkData, wire.WorkWarning:
	case wire.WorkComplete, wire.WorkException:
		last = true
	default:
		return err
	}
	if size > maxSkipped {
		return err
	}
	handle, left := []byte(nil), size
	for b := [1]byte{}; left > 0 && len(handle) <= maxHandle; handle = append(handle, b[0]) {
		if _, err := io.ReadFull(c.in, b[:]); err != nil {
			return err
		}
		if left--; b[0] == 0 {
			break
		}
	}
	if a, r := c.recipient(Handle(handle), last); r != nil {
		limit := c.home.client.opts.MaxPayload
		r.fail(a, fmt.Errorf("%v of job %s: size %d %w of %d bytes", typ, handle, size, ErrTooLarge, limit))
	}
	if _, err := io.CopyN(io.Discard, c.in, left); err != nil {
		return err
	}
	if last {
		c.leaveIfIdle()
	}
	return nil
}

// leaveIfIdle closes the connection to a server that is shutting down if its last
// job has ended.
func (c *clientConn) leaveIfIdle() {
	c.mu.Lock()
	left := c.idleAndLeaving()
	c.mu.Unlock()
	if left {
		c.hangUp(errShutDown)
	}
}

// errShutDown is the reason for closing the connection to a server that is shutting
// down and has no more jobs of this client.
var errShutDown = errors.New("the server is shutting down")

// idleAndLeaving reports whether the connection should be closed. mu is held.
func (c *clientConn) idleAndLeaving() bool {
	return c.leaving && len(c.jobs)+c.submitted.len()+c.statuses.len()+c.uniques.len()+c.echoes.len() == 0
}

// onError finds the request that an ERROR answers, as the packet does not name it.
func (c *clientConn) onError(e *ServerError) {
	c.mu.Lock()
	if c.onRefusedOption(e) {
		c.mu.Unlock()
		return
	}
	if a, ok := c.submitted.pop(); ok {
		r := a.running
		down := e.ShuttingDown()
		c.leaving = c.leaving || down
		c.deaf = c.deaf || e.TooLarge()
		c.mu.Unlock()
		if down {
			c.home.leave(c, e)
		}
		if r != nil {
			r.fail(a, e)
		}
		c.leaveIfIdle()
		return
	}
	defer c.mu.Unlock()
	for _, waiting := range []*fifo[*question]{&c.statuses, &c.uniques, &c.echoes} {
		if q, ok := waiting.pop(); ok {
			q.err = e
			close(q.done)
			return
		}
	}
	c.lastError = e
}

func (c *clientConn) onStatus(waiting *fifo[*question], p *wire.Packet) error {
	about := string(p.Args[0])
	c.mu.Lock()
	defer c.mu.Unlock()
	q, ok := waiting.pop()
	if !ok || p.Type == wire.StatusRes && about != q.about {
		return c.protocolError("%v about %.80q without a request", p.Type, about)
	}
	q.status = Status{
		Known:       string(p.Args[1]) == "1",
		Running:     string(p.Args[2]) == "1",
		Numerator:   number(p.Args[3]),
		Denominator: number(p.Args[4]),
	}
	if p.Type == wire.StatusRes {
		q.status.Handle = Handle(about)
	} else {
		q.status.Unique = q.about
		q.status.Clients = int(number(p.Args[5]))
	}
	close(q.done)
	return nil
}

func (c *clientConn) onEcho(p *wire.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, ok := c.echoes.pop()
	if !ok {
		return c.protocolError("ECHO_RES without a request")
	}
	q.data = bytes.Clone(p.Args[0])
	close(q.done)
	return nil
}

// cause returns why the connection ended.
func (c *clientConn) cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.causeLocked()
}

func (c *clientConn) causeLocked() error {
	if c.lastError != nil && !errors.Is(c.err, ErrClosed) {
		return c.lastError // the server's reason for closing the connection
	}
	return c.err
}

// failWaiting fails the waiting tasks and questions after the reader has stopped.
func (c *clientConn) failWaiting() {
	c.mu.Lock()
	cause := c.causeLocked()
	attempts := c.submitted.all()
	unread := 0 // how many of them
	if c.deaf {
		unread = len(attempts)
	}
	for _, job := range c.jobs {
		attempts = append(attempts, job.all()...)
	}
	questions := append(append(c.statuses.all(), c.uniques.all()...), c.echoes.all()...)
	c.segments, c.jobs = nil, nil
	running := make([]*Running, len(attempts))
	for i, a := range attempts {
		running[i] = a.running
	}
	c.mu.Unlock()
	c.home.dropped(c, cause)
	close(c.dead) // after dropped: a waiting task must not find this connection again

	err, unanswered := cause, cause
	_, broken := cause.(*ProtocolError)
	switch {
	case errors.Is(cause, ErrClosed):
	case broken && !c.hasGreeted(): // it is no Gearman server
		unanswered = noServer(ServerErrors{c.server: cause})
	default:
		err = lost(c.server, cause)
		unanswered = err
	}
	for i, a := range attempts {
		switch {
		case running[i] == nil:
		case i < unread && !errors.Is(cause, ErrClosed):
			running[i].fail(a, &unreadError{cause})
		default:
			running[i].fail(a, err)
		}
	}
	for _, q := range questions {
		q.err = unanswered
		close(q.done)
	}
}

// hasGreeted reports whether the server has sent a packet.
func (c *clientConn) hasGreeted() bool {
	select {
	case <-c.greeted:
		return true
	default:
		return false
	}
}
