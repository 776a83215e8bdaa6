package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

const (
	// settleFor is how long a connection that ends may take to read its last
	// replies.
	settleFor = 5 * time.Second
	// lingerFor is how long it may take to notice that it was refused.
	lingerFor = time.Second
	// lingerForLarge is how long, if it is sending a packet that is too large: it
	// reads nothing before it has sent that.
	lingerForLarge = 10 * time.Second
)

// conn is one connection: a client, a worker, an administrator, or all three. A
// server may have tens of thousands of idle workers: TestIdleConnectionIsSmall
// bounds its size.
type conn struct {
	// Set when it is made.
	s     *Server
	sock  transport
	peer  *queue.Peer
	addr  string // of the other end, for people
	since int64  // when it was made, in milliseconds of the monotonic clock
	out   outbox

	// Guarded by Server.mu.
	next, prev *conn         // in Server.conns
	pages      *pages        // of the admin command that is being answered, or nil
	id         string        // as the peer calls itself
	overdue    []uint64      // jobs that were taken from it, and of which it does not know
	raised     uint64        // the number of the job it ended with an exception last, or 0
	outcomes   *outcomeWait  // the wait command that is being answered, or nil
	lastBatch  uint64        // the number of the last batch that has a submission of it, if committing is not 0
	why        error         // set with doomed
	parked     parkedReplies // and their requests, which wait for the store
	hold       hold          // has a lock of its own
	committing int32         // submissions that wait for the store
	doomed     atomic.Bool   // to be closed after the turn; read without the lock too
	listed     bool          // it is in Server.conns
	exceptions bool          // it wants WORK_EXCEPTION
	cancels    bool          // as a worker, it stops a running job that is cancelled
	dirty      bool          // it is in Server.dirty
	expects    bool          // this turn has added to hold
	blocked    bool          // the packet that is being applied has to be applied again: it waits or takes long
	again      bool          // the next packet was traced already
	slow       bool          // the last turn had an admin command
	ended      bool          // this turn's packets have ended a job

	// For peerMemory and its sweeps.
	starved atomic.Bool  // it is not read because memory is short
	only    bool         // it is read all the same; the read loop's
	whole   bool         // a packet was applied since only was set; the read loop's
	kept    atomic.Int64 // bytes of a packet that has not arrived whole
	begun   atomic.Int64 // when some of it arrived last, by the monotonic clock; 0 if there is none

	// The read loop's.
	in  *wire.Reader
	own *ownLoop // nil if a poller reads the connection
}

// ownLoop belongs to the goroutine of a connection that is not polled.
type ownLoop struct {
	resumed chan struct{} // has a value when the connection's hold has ended
	spare   []*conn       // for endTurn
}

// removeChunk is how many jobs, waits and functions of a connection that ends
// are looked after under one lock.
const removeChunk = 1000

// errGone ends a connection that has said all it wanted.
var errGone = errors.New("gone")

// newConn returns a connection whose hold.resume is still to be set.
func newConn(s *Server, t transport, addr string) *conn {
	c := &conn{s: s, sock: t, since: s.clocks.read().now, id: "-", addr: addr, exceptions: s.cfg.Exceptions}
	c.in = wire.NewReader(c.sock, s.limits)
	c.out.init(c.sock, &s.outbox, c.stalled)
	return c
}

// newServedConn returns a connection that a goroutine of its own will serve.
func newServedConn(s *Server, t transport, addr string) *conn {
	c := newConn(s, t, addr)
	own := &ownLoop{resumed: make(chan struct{}, 1)}
	c.own = own
	c.hold.resume = func() { own.resumed <- struct{}{} }
	return c
}

// peerName returns the other end's address, "unix" where it has none.
func peerName(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil {
		if s := a.String(); s != "" && s != "@" {
			return s
		}
		return a.Network()
	}
	return "local"
}

// host returns the other end's address without its port, as workers prints it.
func (c *conn) host() string {
	if h, _, err := net.SplitHostPort(c.addr); err == nil {
		return h
	}
	return strings.Join(strings.Fields(c.addr), "_")
}

// serve reads and answers until the connection ends.
func (c *conn) serve() {
	defer c.s.wg.Done()
	c.logStart()
	c.end(c.loop())
}

func (c *conn) loop() error {
	for {
		for !c.s.peers.mayRead(c) {
			<-c.own.resumed
		}
		if err := c.in.Fill(); err != nil {
			if err == io.EOF {
				return errGone
			}
			return err
		}
		for more := true; more; {
			var held bool
			var err error
			more, held, err = c.turn()
			switch {
			case err != nil:
				return err
			case held:
				<-c.own.resumed
			case more:
				runtime.Gosched() // to those who wait for the lock
			}
		}
		c.noteRead(c.s.clocks.read().now)
	}
}

// maxTurn is how many packets are applied in one turn; an admin command ends
// it. Those who have sent more take turns with others, whose jobs need not wait
// long then.
const maxTurn = 16

// turn is one turn of a connection that has a goroutine; see apply.
func (c *conn) turn() (more, held bool, err error) {
	c.s.mu.Lock()
	more, held, ack, err := c.apply(c.s.clocks.read())
	c.own.spare = c.s.endTurn(c.own.spare)
	if ack {
		c.sock.ackNow()
	}
	return more, held, err
}

// apply applies what has arrived whole, maxTurn packets at most. It reports
// whether there may be more; whether so much waits for the store that going on
// has to wait too; and whether to acknowledge what was read. The lock is held.
func (c *conn) apply(at moment) (more, held, ack bool, err error) {
	if c.s.closed {
		return false, false, false, errGone
	}
	if more, err = c.applySome(c.s.setTime(at)); err != nil {
		c.refuse(err)
	}
	// A worker that sends the end of a job and its next grab in two small
	// writes has the second held back by Nagle's algorithm until the first is
	// acknowledged: now, or with the reply to come, or after the 40 ms of a
	// delayed acknowledgment.
	ack = c.ended && !c.dirty
	c.ended = false
	if c.parked.crowded() || c.parked.waiting() && c.s.commit != nil && c.s.commit.behind() {
		c.parked.whenSent(c.expect())
	}
	if c.expects {
		c.expects = false
		held = err == nil && !c.doomed.Load() && c.hold.begin()
	}
	return more, held, ack, err
}

func (c *conn) applySome(now int64) (more bool, err error) {
	c.slow = false
	for range maxTurn {
		if c.doomed.Load() {
			return false, c.why
		}
		switch c.in.Form() {
		case wire.Binary:
			pkt := &c.s.pkt
			ok, err := c.in.Packet(pkt)
			if !ok {
				if errors.Is(err, wire.ErrTooLarge) {
					c.failOversized(now, err)
				}
				return false, err
			}
			if c.s.cfg.Trace != nil && !c.again {
				c.s.cfg.Trace.Packet(c.addr, true, pkt)
			}
			c.again = false
			c.whole = true
			if c.out.over.Load() && isAsking(pkt.Type) {
				c.awaitRoom()
			} else if err := c.dispatch(now, pkt); err != nil {
				return false, err
			}
			if c.blocked {
				c.blocked, c.again = false, true
				c.in.Unread()
				return true, nil
			}
		case wire.Text:
			if c.out.over.Load() {
				c.awaitRoom()
				c.blocked = false
				return true, nil
			}
			line, ok, err := c.in.Line()
			if !ok {
				return false, err
			}
			if c.s.cfg.Trace != nil {
				c.s.cfg.Trace.Line(c.addr, true, string(line))
			}
			if isHTTP(line) {
				return false, c.refuseHTTP()
			}
			c.admin(now, line)
			c.slow = true
			return true, nil
		default:
			return false, nil
		}
	}
	return true, nil
}

// isAsking reports whether a packet is answered with as much as it is long, or
// with a payload.
func isAsking(t wire.Type) bool {
	return t == wire.EchoReq || t == wire.GrabJob || t == wire.GrabJobUniq || t == wire.GrabJobAll
}

// awaitRoom has the packet that is being applied wait for room in the
// connection's own outbox.
func (c *conn) awaitRoom() {
	c.out.whenBelow(c.expect())
	c.blocked = true
}

// stalled drops a peer that has taken nothing for Config.PeerTimeout, though
// much waits for it.
func (c *conn) stalled() {
	s := c.s
	s.mu.Lock()
	defer s.endTurn(nil)
	c.drop(fmt.Errorf("does not read: %d bytes wait for it, and it took none for %v", c.out.owed(), s.cfg.PeerTimeout))
}

// refuse answers what breaks the protocol, before the connection is closed.
func (c *conn) refuse(err error) {
	code := wire.CodeInvalidPacket
	switch {
	case errors.Is(err, wire.ErrBadMagic):
		code = wire.CodeInvalidMagic
	case errors.Is(err, wire.ErrBadType):
		code = wire.CodeInvalidCommand
	case errors.Is(err, wire.ErrTooLarge):
		code = wire.CodeDataTooLarge
	case !errors.Is(err, wire.ErrMalformed):
		return
	}
	c.error(code, err.Error())
}

// end lets the connection go. What it asked for before is answered; then it
// counts as gone, and may take its time to read its last replies.
func (c *conn) end(why error) {
	s := c.s
	if !isReset(why) {
		c.awaitParked()
	}
	s.mu.Lock()
	if c.why != nil {
		why = c.why
	}
	if !s.closed { // else the jobs are the next start's, as they are
		for s.q.Remove(s.readTime(), c.peer, removeChunk) && !s.closed {
			s.endTurn(nil)
			s.mu.Lock()
		}
		s.results.unwait(c)
		c.logEnd(why)
	}
	c.out.letGo()
	c.begun.Store(0)
	c.in.Drop() // somebody may hold the connection for longer
	s.endTurn(nil)
	s.peers.forget(c)

	if !c.doomed.Load() {
		c.out.settle(settleFor, time.Time{})
		if why != errGone {
			c.sock.closeWrite()
			if errors.Is(why, wire.ErrTooLarge) {
				c.sock.linger(lingerForLarge)
			} else {
				c.sock.linger(lingerFor)
			}
		}
	}
	c.out.close()
	c.sock.free()
	s.mu.Lock()
	s.conns.remove(c)
	delete(s.swept, c)
	s.watchBacklog()
	s.mu.Unlock()
}

// hangUp ends the connection because the server ends: it gets what it is owed
// already, if it reads it, and then its read loop ends.
func (c *conn) hangUp() {
	c.awaitParked()
	c.out.settle(0, time.Now().Add(settleFor))
	c.sock.Close()
}

func (c *conn) logStart() {
	if c.s.debug {
		c.s.say(slog.LevelDebug, "connected", slog.String("peer", c.addr))
	}
}

// logEnd says why a connection ended: in the debug log if it left by itself.
func (c *conn) logEnd(why error) {
	if why == errGone || isReset(why) {
		if c.s.debug {
			c.s.note(slog.LevelDebug, "disconnected", slog.String("peer", c.addr))
		}
		return
	}
	c.s.noteSampled(peerDropped, slog.LevelWarn, "dropped",
		slog.String("peer", c.addr), slog.String("id", c.id), slog.String("why", why.Error()))
}

// isReset reports whether err is a peer's way of leaving without a word.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// drop closes a connection after this turn. The lock is held.
func (c *conn) drop(why error) {
	if !c.doomed.Load() {
		c.why = why
		c.doomed.Store(true)
		c.parked.wake()
		c.hold.cancel()
		c.s.peers.letGo(c)
		if c.pages != nil {
			close(c.pages.quit)
			c.pages = nil
		}
		c.touch()
	}
}

// touch has the outbox flushed after this turn. The lock is held.
func (c *conn) touch() {
	if !c.dirty {
		c.dirty = true
		c.s.dirty = append(c.s.dirty, c)
	}
}

// send owes the connection a packet, behind the replies that wait for the
// store. Arguments are copied. The lock is held.
func (c *conn) send(t wire.Type, args ...[]byte) {
	if c.parked.waiting() {
		c.park(t, args)
		return
	}
	c.owe(t, args...)
}

// sendShared is send for a last argument that never changes: if it is large it
// is not copied.
func (c *conn) sendShared(t wire.Type, last []byte, args ...[]byte) {
	if c.parked.waiting() {
		c.parkBytes(appendPacket(nil, t, last, args))
		return
	}
	c.oweShared(t, last, args...)
}

// sendText is send for an admin reply, which must not change any more.
func (c *conn) sendText(b []byte) {
	if c.parked.waiting() {
		c.parkBytes(b)
		return
	}
	c.oweBytes(b)
}

// owe puts a packet into the outbox. The lock is held.
func (c *conn) owe(t wire.Type, args ...[]byte) {
	if c.s.cfg.Trace != nil {
		c.traceBytes(wire.Append(nil, wire.Response, t, args...))
	}
	c.touch()
	if !c.out.packet(t, args...) {
		c.overflow()
	}
}

// oweShared is owe for a last argument that never changes.
func (c *conn) oweShared(t wire.Type, last []byte, args ...[]byte) {
	if c.s.cfg.Trace != nil {
		c.traceBytes(appendPacket(nil, t, last, args))
	}
	c.touch()
	if !c.out.shared(t, last, args...) {
		c.overflow()
	}
}

// oweBytes puts whole packets and lines into the outbox, which keeps b.
func (c *conn) oweBytes(b []byte) {
	if c.s.cfg.Trace != nil {
		c.traceBytes(b)
	}
	c.touch()
	if !c.out.text(b) {
		c.overflow()
	}
}

func (c *conn) overflow() {
	c.drop(fmt.Errorf("does not read: over %d bytes wait for it", c.out.limits.most))
}

// error owes the connection an ERROR packet.
func (c *conn) error(code, text string) {
	c.send(wire.Error, []byte(code), []byte(text))
}

// traceBytes traces packets and lines that the server has put together.
func (c *conn) traceBytes(b []byte) {
	var p wire.Packet
	for len(b) > 0 {
		if n, _ := wire.Decode(b, c.s.limits, &p); n > 0 {
			c.s.cfg.Trace.Packet(c.addr, false, &p)
			b = b[n:]
			continue
		}
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		c.s.cfg.Trace.Line(c.addr, false, string(bytes.TrimSuffix(line, []byte{'\r'})))
		b = rest
	}
}
