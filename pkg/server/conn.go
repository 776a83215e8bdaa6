package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"time"

	"gm/pkg/queue"
	"gm/pkg/server/transport"
	"gm/pkg/wire"
)

const (
	// lingerFor is the time in which a connection may notice that it was refused.
	lingerFor = time.Second
	// lingerForLarge is that time while it sends a packet that is too large: it
	// reads nothing before it has sent all of that.
	lingerForLarge = 10 * time.Second
)

// conn is one connection: a client, a worker, an administrator, or all three. A
// server may have tens of thousands of idle workers: TestIdleConnectionIsSmall
// bounds its size.
type conn struct {
	transport.Conn // its bytes

	// Set when it is made.
	s     *Server
	peer  *queue.Peer
	addr  string // of the other end, for people
	since int64  // when it was made, in milliseconds of the monotonic clock

	// Guarded by Server.mu.
	next, prev *conn         // in Server.conns
	pages      *pages        // of the admin command that is being answered, or nil
	id         string        // as the peer calls itself
	overdue    []uint64      // jobs that were taken from it, which it does not know yet
	raised     uint64        // the number of the job it ended with an exception last, or 0
	outcomes   *outcomeWait  // the wait command that is being answered, or nil
	once       *oncePrefix   // its background submissions do not repeat a job that has ended lately; or nil
	lastBatch  uint64        // the number of the last batch that has a submission of it, if committing is not 0
	why        error         // the reason why it was dropped
	parked     parkedReplies // the requests whose replies come later
	committing int32         // submissions that wait for the store
	listed     bool          // it is in Server.conns
	exceptions bool          // it wants WORK_EXCEPTION
	cancels    bool          // as a worker, it stops a running job that is cancelled
	dirty      bool          // it is in Server.dirty
	expects    bool          // this turn has added to Hold
	blocked    bool          // the packet that is being applied must be applied again: it waits or takes long
	again      bool          // the next packet was traced already
	slow       bool          // the last turn had an admin command
	ended      bool          // this turn's packets have ended a job

	in *wire.Reader // for the goroutine that reads
}

// removeChunk is the number of jobs, waits and functions of a connection that are
// removed under one lock when it ends.
const removeChunk = 1000

// errPeerLeft ends a connection that the peer has closed.
var errPeerLeft = errors.New("gone")

// newConn returns a connection without a handler.
func newConn(s *Server, socket transport.Socket, addr string) *conn {
	return &conn{
		s: s, since: s.clocks.read().now, id: "-", addr: addr, exceptions: s.cfg.Exceptions,
		in: wire.NewReader(socket, s.limits),
	}
}

// hostOf returns an address without its port, as the rows of workers have it.
func hostOf(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return strings.Join(strings.Fields(addr), "_")
}

// serve reads and answers until the connection ends.
func (c *conn) serve() {
	c.logStart()
	c.ServeAlone()
}

// maxTurn is the maximum number of packets that are applied in one turn; an admin
// command ends the turn. Connections that have sent more take turns with others,
// whose jobs do not wait long then.
const maxTurn = 16

// apply applies the packets that have arrived, maxTurn at most. The lock is held.
func (c *conn) apply(at moment) (applied transport.Applied, err error) {
	if c.s.closed {
		return applied, errPeerLeft
	}
	if applied.More, err = c.applySome(c.s.setTime(at)); err != nil {
		c.refuse(err)
	}
	// If a worker sends the end of a job and its next grab in two small writes,
	// Nagle's algorithm delays the second until the first is acknowledged: now, or
	// with the next reply, or after the 40 ms of a delayed acknowledgment.
	applied.Ack = c.ended && !c.dirty
	c.ended = false
	if c.parked.isFull() || c.parked.hasWaiting() && c.s.commit != nil && c.s.commit.isBehind() {
		c.parked.whenSent(c.holdConn())
	}
	if c.expects {
		c.expects = false
		applied.Held = err == nil && !c.IsDropped() && c.Hold.Begin()
	}
	applied.Slow = c.slow
	return applied, err
}

func (c *conn) applySome(now int64) (more bool, err error) {
	c.slow = false
	for range maxTurn {
		if c.IsDropped() {
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
			c.NoteApplied()
			if c.Out.IsAboveMark() && isAsking(pkt.Type) {
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
			if c.Out.IsAboveMark() {
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

// isAsking reports whether the answer to a packet is as long as the packet, or has
// a payload.
func isAsking(t wire.Type) bool {
	return t == wire.EchoReq || t == wire.GrabJob || t == wire.GrabJobUniq || t == wire.GrabJobAll
}

// refuse answers bytes that break the protocol, before the connection is closed.
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
	c.reply().sendError(code, err.Error())
}

// endConn ends the connection. Its earlier requests are answered; then the connection
// counts as gone, and has some seconds to read its last replies. io.EOF and errGone
// mean that the peer has closed the connection.
func (c *conn) endConn(why error) {
	s := c.s
	if !isReset(why) {
		c.awaitParked()
	}
	s.mu.Lock()
	if c.why != nil {
		why = c.why
	}
	if why == io.EOF {
		why = errPeerLeft
	}
	if !s.closed { // else the jobs are left to the next start
		for s.q.Remove(s.readTime(), c.peer, removeChunk) && !s.closed {
			s.endTurn(nil)
			s.mu.Lock()
		}
		s.results.endWaitsOf(c)
		c.logEnd(why)
	}
	c.StopReading()
	c.in.Drop() // its buffers: the connection may be referred to for longer
	s.endTurn(nil)

	c.Finish(lingerTime(why))
	s.mu.Lock()
	s.conns.remove(c)
	s.peers.Forget(&c.Conn)
	s.watchBacklog()
	s.mu.Unlock()
}

// lingerTime returns for how long a connection that ends for a reason may still send.
func lingerTime(why error) time.Duration {
	switch {
	case why == errPeerLeft:
		return 0
	case errors.Is(why, wire.ErrTooLarge):
		return lingerForLarge
	}
	return lingerFor
}

// hangUp ends the connection because the server ends: it gets its pending replies,
// if it reads them, and then its read loop ends.
func (c *conn) hangUp() {
	c.awaitParked()
	c.HangUp()
}

func (c *conn) logStart() {
	if c.s.debug {
		c.s.logNow(slog.LevelDebug, "connected", slog.String("peer", c.addr))
	}
}

// logEnd logs why a connection ended, only at debug level if the peer left.
func (c *conn) logEnd(why error) {
	if why == errPeerLeft || isReset(why) {
		if c.s.debug {
			c.s.logAfterTurn(slog.LevelDebug, "disconnected", slog.String("peer", c.addr))
		}
		return
	}
	c.s.logSampled(peerDropped, slog.LevelWarn, "dropped",
		slog.String("peer", c.addr), slog.String("id", c.id), slog.String("why", why.Error()))
}

// isReset reports whether err means that the peer has reset the connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// dropAfterTurn closes a connection after this turn. The lock is held.
func (c *conn) dropAfterTurn(why error) {
	if !c.IsDropped() {
		c.why = why
		c.MarkDropped()
		c.parked.callSent()
		if c.pages != nil {
			close(c.pages.quit)
			c.pages = nil
		}
		c.markDirty()
	}
}

// markDirty makes the outbox be flushed after this turn. The lock is held.
func (c *conn) markDirty() {
	if !c.dirty {
		c.dirty = true
		c.s.dirty = append(c.s.dirty, c)
	}
}
