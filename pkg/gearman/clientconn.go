package gearman

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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

// audience are the attempts that wait for one job, by the order of their
// submission. A server sends each packet of a job once for every submission:
// the copies go around. Most jobs have an audience of one.
type audience struct {
	one  *attempt
	many *circle // instead of one
}

// circle is an audience of several.
type circle struct {
	attempts []*attempt
	turn     int
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

// readLoop takes the server's packets until the connection ends; then it ends
// all that wait for it.
func (c *clientConn) readLoop() {
	var p wire.Packet
	first := true
	silent := time.AfterFunc(answerTimeout, func() {
		c.hangUp(fmt.Errorf("no answer within %v", answerTimeout))
	})
	defer silent.Stop()
	for {
		err := c.next(&p)
		if err == nil {
			if first {
				first = false
				silent.Stop()
				c.home.answered()
				close(c.greeted)
			}
			err = c.handle(&p)
		}
		if err == errNoAnswer && !c.home.answers() { // what hangs up on strangers is something else
			err = c.protocolError("%w", err)
		}
		if errors.Is(err, wire.ErrTooLarge) {
			err = c.skipLarge(err)
		}
		if err != nil {
			c.hangUp(err)
			c.end()
			return
		}
	}
}

// handle does what a packet asks for.
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
		c.mu.Lock()
		c.options = max(0, c.options-1)
		c.mu.Unlock()
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
		return c.protocolError("JOB_CREATED %q that nobody has asked for", h)
	}
	a.handle = h
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

// onWork passes a packet about a job on. One about a job that nobody waits for
// is dropped: a worker may add a WORK_FAIL to its exception.
func (c *clientConn) onWork(p *wire.Packet, last bool) {
	if a, r := c.recipient(Handle(p.Args[0]), last); r != nil {
		r.deliver(a, p)
	}
	if last {
		c.leaveIfIdle()
	}
}

// recipient returns the attempt that a packet about a job is for; nil if nobody
// waits for it.
func (c *clientConn) recipient(h Handle, last bool) (*attempt, *Running) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, alone := c.jobs[h].next(last)
	if a == nil {
		return nil, nil
	}
	if last && alone {
		delete(c.jobs, h)
	}
	return a, a.running
}

// skipLarge drops a packet that is over the limit, in memory that does not grow,
// and fails the job that it is about. Only a packet about a job may be so large:
// another one ends the connection with err.
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

// leaveIfIdle ends the connection to a server that is shutting down after its
// last job.
func (c *clientConn) leaveIfIdle() {
	c.mu.Lock()
	left := c.idleAndLeaving()
	c.mu.Unlock()
	if left {
		c.hangUp(errShutDown)
	}
}

// errShutDown ends the connection to a server that is shutting down and has no
// more jobs of this client.
var errShutDown = errors.New("the server is shutting down")

// idleAndLeaving reports whether nothing keeps the connection open. mu is held.
func (c *clientConn) idleAndLeaving() bool {
	return c.leaving && len(c.jobs)+c.submitted.len()+c.statuses.len()+c.uniques.len()+c.echoes.len() == 0
}

// with returns the audience and one more.
func (j audience) with(a *attempt) audience {
	switch {
	case j.many != nil:
		j.many.attempts = append(j.many.attempts, a)
	case j.one != nil:
		j = audience{many: &circle{attempts: []*attempt{j.one, a}}}
	default:
		j.one = a
	}
	return j
}

// next returns whose turn it is, and whether nobody else waits. After the last
// packet it is nobody's again.
func (j audience) next(last bool) (a *attempt, alone bool) {
	m := j.many
	if m == nil {
		return j.one, true
	}
	a, alone = m.attempts[m.turn], len(m.attempts) == 1
	if last {
		m.attempts = slices.Delete(m.attempts, m.turn, m.turn+1)
	} else {
		m.turn++
	}
	if m.turn >= len(m.attempts) {
		m.turn = 0
	}
	return a, alone
}

// all returns everybody.
func (j audience) all() []*attempt {
	if j.many != nil {
		return j.many.attempts
	}
	return []*attempt{j.one}
}

// onError finds out what an ERROR answers. It does not say so itself.
func (c *clientConn) onError(e *ServerError) {
	c.mu.Lock()
	if strings.EqualFold(e.Code, wire.CodeUnknownOption) && c.options > 0 {
		c.options--
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
	c.said = e
}

func (c *clientConn) onStatus(waiting *fifo[*question], p *wire.Packet) error {
	about := string(p.Args[0])
	c.mu.Lock()
	defer c.mu.Unlock()
	q, ok := waiting.pop()
	if !ok || p.Type == wire.StatusRes && about != q.about {
		return c.protocolError("%v about %.80q that nobody has asked for", p.Type, about)
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
		return c.protocolError("ECHO_RES that nobody has asked for")
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
	if c.said != nil && !errors.Is(c.err, ErrClosed) {
		return c.said // the server said why it would close
	}
	return c.err
}

// end fails all that still wait, after the reader has stopped.
func (c *clientConn) end() {
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
	close(c.dead) // those who wait for that find the home without it

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

// fifo is a queue.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(v T) { f.items = append(f.items, v) }

func (f *fifo[T]) pop() (v T, ok bool) {
	if f.head == len(f.items) {
		return v, false
	}
	var zero T
	v, f.items[f.head] = f.items[f.head], zero
	f.head++
	switch {
	case f.head == len(f.items):
		f.items, f.head = f.items[:0], 0
	case f.head >= 64 && f.head > len(f.items)/2:
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return v, true
}

// all empties the queue and returns what was in it.
func (f *fifo[T]) all() []T {
	rest := f.items[f.head:]
	f.items, f.head = nil, 0
	return rest
}
