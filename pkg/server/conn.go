package server

import (
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
	// settleFor is the time in which a connection that ends may read its last
	// replies.
	settleFor = 5 * time.Second
	// lingerFor is the time in which it may notice that it was refused.
	lingerFor = time.Second
	// lingerForLarge is that time while it sends a packet that is too large: it
	// reads nothing before it has sent all of that.
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
	overdue    []uint64      // jobs that were taken from it, which it does not know yet
	raised     uint64        // the number of the job it ended with an exception last, or 0
	outcomes   *outcomeWait  // the wait command that is being answered, or nil
	lastBatch  uint64        // the number of the last batch that has a submission of it, if committing is not 0
	why        error         // the reason of doomed
	parked     parkedReplies // the requests whose replies come later
	hold       hold          // has a lock of its own
	committing int32         // submissions that wait for the store
	doomed     atomic.Bool   // to be closed after the turn; read without the lock too
	listed     bool          // it is in Server.conns
	exceptions bool          // it wants WORK_EXCEPTION
	cancels    bool          // as a worker, it stops a running job that is cancelled
	dirty      bool          // it is in Server.dirty
	expects    bool          // this turn has added to hold
	blocked    bool          // the packet that is being applied must be applied again: it waits or takes long
	again      bool          // the next packet was traced already
	slow       bool          // the last turn had an admin command
	ended      bool          // this turn's packets have ended a job

	// For peerMemory and its sweeps.
	starved atomic.Bool  // it is not read because memory is short
	only    bool         // it is read all the same; the read loop's
	whole   bool         // a packet was applied since only was set; the read loop's
	kept    atomic.Int64 // bytes of a packet that has not arrived completely
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

// removeChunk is the number of jobs, waits and functions of a connection that are
// removed under one lock when it ends.
const removeChunk = 1000

// errGone ends a connection that the peer has closed.
var errGone = errors.New("gone")

// newConn returns a connection without hold.resume, which its caller sets.
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
				runtime.Gosched() // to goroutines that wait for the lock
			}
		}
		c.noteRead(c.s.clocks.read().now)
	}
}

// maxTurn is the maximum number of packets that are applied in one turn; an admin
// command ends the turn. Connections that have sent more take turns with others,
// whose jobs do not wait long then.
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

// apply applies the packets that have arrived, maxTurn at most. It reports
// whether there may be more, whether the connection is held, and whether to
// acknowledge the bytes that were read. The lock is held.
func (c *conn) apply(at moment) (more, held, ack bool, err error) {
	if c.s.closed {
		return false, false, false, errGone
	}
	if more, err = c.applySome(c.s.setTime(at)); err != nil {
		c.refuse(err)
	}
	// If a worker sends the end of a job and its next grab in two small writes,
	// Nagle's algorithm delays the second until the first is acknowledged: now, or
	// with the next reply, or after the 40 ms of a delayed acknowledgment.
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

// isAsking reports whether the answer to a packet is as long as the packet, or has
// a payload.
func isAsking(t wire.Type) bool {
	return t == wire.EchoReq || t == wire.GrabJob || t == wire.GrabJobUniq || t == wire.GrabJobAll
}

// awaitRoom makes the packet that is being applied wait for room in the
// connection's own outbox.
func (c *conn) awaitRoom() {
	c.out.whenBelow(c.expect())
	c.blocked = true
}

// stalled drops a peer that has taken no bytes of a full outbox for
// Config.PeerTimeout.
func (c *conn) stalled() {
	s := c.s
	s.mu.Lock()
	defer s.endTurn(nil)
	c.drop(fmt.Errorf("does not read: %d bytes wait for it, and it took none for %v", c.out.owed(), s.cfg.PeerTimeout))
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

// end ends the connection. Its earlier requests are answered; then the connection
// counts as gone, and has settleFor to read its last replies.
func (c *conn) end(why error) {
	s := c.s
	if !isReset(why) {
		c.awaitParked()
	}
	s.mu.Lock()
	if c.why != nil {
		why = c.why
	}
	if !s.closed { // else the jobs are left to the next start
		for s.q.Remove(s.readTime(), c.peer, removeChunk) && !s.closed {
			s.endTurn(nil)
			s.mu.Lock()
		}
		s.results.unwait(c)
		c.logEnd(why)
	}
	c.out.letGo()
	c.begun.Store(0)
	c.in.Drop() // its buffers: the connection may be referred to for longer
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

// hangUp ends the connection because the server ends: it gets its pending replies,
// if it reads them, and then its read loop ends.
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

// logEnd logs why a connection ended, only at debug level if the peer left.
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

// isReset reports whether err means that the peer has reset the connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// drop closes a connection after this turn. The lock is held.
func (c *conn) drop(why error) {
	if !c.doomed.Load() {
		c.why = why
		c.doomed.Store(true)
		c.parked.callSent()
		c.hold.cancel()
		c.s.peers.letGo(c)
		if c.pages != nil {
			close(c.pages.quit)
			c.pages = nil
		}
		c.touch()
	}
}

// touch makes the outbox be flushed after this turn. The lock is held.
func (c *conn) touch() {
	if !c.dirty {
		c.dirty = true
		c.s.dirty = append(c.s.dirty, c)
	}
}
