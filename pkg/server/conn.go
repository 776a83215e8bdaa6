package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
)

// conn is one connection: a client, a worker, an administrator, or all three.
type conn struct {
	// Set when it is made.
	s     *Server
	sock  *socket
	in    *wire.Reader // the read loop's
	out   outbox
	peer  *queue.Peer
	since time.Time
	addr  string // of the other end, for people

	// Guarded by Server.mu.
	id         string
	exceptions bool     // it wants WORK_EXCEPTION
	dirty      bool     // it is in Server.dirty
	raised     []byte   // the handle of the job it ended with an exception last
	parked     []parked // what it is owed behind submissions that wait for their batch
	settled    chan struct{}

	doomed atomic.Bool // to be closed after the turn
	why    error       // set with doomed
	spare  []*conn     // the read loop's, for endTurn
	pkt    wire.Packet // the read loop's
}

// errGone ends a connection that has said all it wanted.
var errGone = errors.New("gone")

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{s: s, sock: newSocket(nc), since: time.Now(), id: "-", addr: peerName(nc)}
	c.in = wire.NewReader(c.sock, s.limits)
	c.out.init(c.sock, s.cfg.MaxOutbox)
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
	if c.s.debug {
		c.s.log.Debug("connected", "peer", c.addr)
	}
	err := c.loop()
	c.end(err)
}

func (c *conn) loop() error {
	for {
		if err := c.in.Fill(); err != nil {
			if err == io.EOF {
				return errGone
			}
			return err
		}
		if err := c.turn(); err != nil {
			return err
		}
	}
}

// turn applies everything that has arrived whole.
func (c *conn) turn() error {
	s := c.s
	now := time.Now().UnixMilli()
	s.mu.Lock()
	err := c.apply(now)
	if err != nil {
		c.refuse(err)
	}
	c.spare = s.endTurn(c.spare)
	return err
}

func (c *conn) apply(now int64) error {
	for !c.doomed.Load() {
		switch c.in.Form() {
		case wire.Binary:
			ok, err := c.in.Packet(&c.pkt)
			if !ok {
				return err
			}
			if c.s.cfg.Trace != nil {
				c.s.cfg.Trace.Packet(c.addr, true, &c.pkt)
			}
			if err := c.dispatch(now, &c.pkt); err != nil {
				return err
			}
		case wire.Text:
			line, ok, err := c.in.Line()
			if !ok {
				return err
			}
			c.s.cfg.Trace.Line(c.addr, true, string(line))
			c.admin(now, line)
		default:
			return nil
		}
	}
	return c.why
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
	if !c.doomed.Load() {
		c.awaitParked()
	}
	s.mu.Lock()
	if c.why != nil {
		why = c.why
	}
	s.q.Remove(time.Now().UnixMilli(), c.peer)
	c.logEnd(why)
	s.endTurn(c.spare)

	if !c.doomed.Load() {
		c.out.settle(time.Now().Add(settleFor))
		if why != errGone {
			c.sock.linger(lingerFor)
		}
	}
	c.sock.Close()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// hangUp ends the connection because the server ends: it gets what it is owed
// already, if it reads it, and then its read loop ends.
func (c *conn) hangUp() {
	c.awaitParked()
	c.out.settle(time.Now().Add(settleFor))
	c.sock.Close()
}

// logEnd says why a connection ended: in the debug log if it left by itself.
func (c *conn) logEnd(why error) {
	switch {
	case c.s.closed:
	case errors.Is(why, errGone), isReset(why):
		if c.s.debug {
			c.s.note(slog.LevelDebug, "disconnected", slog.String("peer", c.addr))
		}
	default:
		c.s.note(slog.LevelWarn, "dropped",
			slog.String("peer", c.addr), slog.String("id", c.id), slog.String("why", why.Error()))
	}
}

// isReset reports whether err is a peer's way of leaving without a word.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// awaitParked waits until the batches that the connection's submissions are in
// have been committed or refused.
func (c *conn) awaitParked() {
	c.s.mu.Lock()
	if len(c.parked) == 0 {
		c.s.mu.Unlock()
		return
	}
	if c.settled == nil {
		c.settled = make(chan struct{})
	}
	settled := c.settled
	c.s.mu.Unlock()
	<-settled // the committer answers everything, also when it ends
}

// drop closes a connection after this turn. The lock is held.
func (c *conn) drop(why error) {
	if !c.doomed.Load() {
		c.why = why
		c.doomed.Store(true)
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

// send owes the connection a packet. The lock is held. Arguments are copied.
func (c *conn) send(t wire.Type, args ...[]byte) {
	if c.s.cfg.Trace != nil {
		c.trace(t, args)
	}
	if len(c.parked) > 0 {
		c.park().packet(t, args...)
		return
	}
	c.touch()
	if !c.out.packet(t, args...) {
		c.overflow()
	}
}

// sendShared is send for a large last argument that never changes: it is not
// copied.
func (c *conn) sendShared(t wire.Type, last []byte, args ...[]byte) {
	if len(c.parked) > 0 || len(last) < shareFrom {
		c.send(t, append(args[:len(args):len(args)], last)...)
		return
	}
	if c.s.cfg.Trace != nil {
		c.trace(t, append(args[:len(args):len(args)], last))
	}
	c.touch()
	if !c.out.shared(t, last, args...) {
		c.overflow()
	}
}

// sendText owes the connection bytes of an admin reply. The lock is held.
func (c *conn) sendText(b []byte) {
	if len(c.parked) > 0 {
		p := c.park()
		p.bytes = append(p.bytes, b...)
		return
	}
	c.touch()
	if !c.out.bytes(b) {
		c.overflow()
	}
}

func (c *conn) overflow() {
	c.drop(fmt.Errorf("does not read: over %d bytes wait for it", c.out.limit))
}

// error owes the connection an ERROR packet.
func (c *conn) error(code, text string) {
	c.send(wire.Error, []byte(code), []byte(text))
}

func (c *conn) trace(t wire.Type, args [][]byte) {
	p := wire.Packet{Magic: wire.Response, Type: t}
	copy(p.Args[:], args)
	c.s.cfg.Trace.Packet(c.addr, false, &p)
}
