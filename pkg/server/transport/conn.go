package transport

import (
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

// settleFor is the time in which a connection that ends may read its last replies.
const settleFor = 5 * time.Second

// Conn is the bytes of one connection. A server has one Conn in each of its
// connections, and calls Init before anything else. A server may have tens of
// thousands of idle connections, so a Conn is small.
type Conn struct {
	Out  Outbox // the bytes for the peer
	Hold Hold   // stops the reading; only the goroutine that reads begins it

	handler Handler
	resumed chan struct{} // has a value when the reading goes on; nil if a poller reads

	// For the bound of Peers and its sweeps.
	kept    atomic.Int64 // memory of a request that has not arrived completely, in bytes
	begun   atomic.Int64 // Peers.now when its last part arrived; 0 between requests
	starved atomic.Bool  // it is not read because memory is short
	dropped atomic.Bool  // see MarkDropped
	only    bool         // it is read although memory is short; for the reading goroutine
	whole   bool         // a request was applied since only was set; for the reading goroutine
}

// Handler gives the bytes of one connection their meaning. The goroutine that reads
// the connection calls Fill, Apply, Release and Lane.
type Handler interface {
	// Fill reads once from the socket. It reads into lent, which it may use until
	// Release, or into a buffer of its own. Without lent it waits for bytes. It returns
	// the number of bytes that are not applied, and reports whether the buffer is full,
	// so that the socket may have more.
	Fill(lent []byte) (pending int, full bool, err error)
	// Apply applies some of the requests that have arrived completely. Its error ends
	// the connection.
	Apply() (Applied, error)
	// Release returns the buffer of Fill: the handler copies the bytes that are not
	// applied. It returns their number, and the memory that they occupy.
	Release() (pending, kept int)
	// Lane returns the place of the connection's next turn in a round.
	Lane() Lane
	// Drop drops the connection because its peer makes no progress. Any goroutine may
	// call it.
	Drop(why error)
	// End is called when the reading has ended with an error. It calls Finish, and may
	// wait for the peer. io.EOF means that the peer has closed the connection.
	End(why error)
}

// Applied is the state of a connection after Handler.Apply.
type Applied struct {
	More bool // there may be more requests that have arrived completely
	Held bool // the connection's Hold has begun: nothing is read or applied until it ends
	Ack  bool // the peer may wait for the acknowledgment of its bytes
	Slow bool // the request was one that takes long: other connections have their turns before the next
}

// Lane is the place of a connection in a round of a poller.
type Lane uint8

const (
	FirstLane  Lane = iota // has its turn in each round, before SecondLane
	SecondLane             // has its turn in each round
	SlowLane               // one connection of this lane has a turn in each round
)

// Init prepares a connection. Without polled, ServeAlone reads it.
func (c *Conn) Init(s Socket, p *Peers, h Handler, polled bool) {
	c.handler = h
	if !polled {
		c.resumed = make(chan struct{}, 1)
	}
	c.Hold.resume = c.resumeReading
	c.Out.init(s, p, h.Drop)
}

// Socket returns the connection's socket.
func (c *Conn) Socket() Socket { return c.Out.dst.(Socket) }

func (c *Conn) peers() *Peers { return c.Out.peers }

// reader is a socket that a poller reads.
type reader interface{ resumeReading(c *Conn) }

// resumeReading makes the reading go on. It does not wait.
func (c *Conn) resumeReading() {
	if c.resumed != nil {
		c.resumed <- struct{}{}
		return
	}
	c.Out.dst.(reader).resumeReading(c)
}

// ServeAlone reads from the connection and has its bytes applied until the connection
// ends.
func (c *Conn) ServeAlone() { c.handler.End(c.readAlone()) }

// readAlone returns the error that ends the connection.
func (c *Conn) readAlone() error {
	for {
		for !c.mayRead() {
			<-c.resumed
		}
		if _, _, err := c.handler.Fill(nil); err != nil {
			return err
		}
		for more := true; more; {
			applied, err := c.handler.Apply()
			if applied.Ack {
				c.Socket().AckNow()
			}
			switch more = applied.More; {
			case err != nil:
				return err
			case applied.Held:
				<-c.resumed
			case more:
				runtime.Gosched() // to goroutines that wait for the server's lock
			}
		}
		c.noteRead(c.handler.Release())
	}
}

// NoteApplied notes that the handler has applied a request. The goroutine that reads
// the connection calls it.
func (c *Conn) NoteApplied() { c.whole = true }

// MarkDropped makes the connection end: its reading goes on, so that the end is found,
// and the next Flush closes it.
func (c *Conn) MarkDropped() {
	c.dropped.Store(true)
	c.Hold.Cancel()
	c.peers().letDroppedRead(c)
}

// IsDropped reports whether MarkDropped was called.
func (c *Conn) IsDropped() bool { return c.dropped.Load() }

// Flush writes the bytes of the outbox that the socket takes at once, and closes a
// connection that was dropped.
func (c *Conn) Flush() {
	c.Out.Flush()
	if c.IsDropped() {
		c.Out.dst.Close()
	}
}

// StopReading notes that the connection is not read any more: it holds no part of a
// request, and nobody waits for room in its outbox.
func (c *Conn) StopReading() {
	c.Out.releaseSenders()
	c.begun.Store(0)
}

// Finish closes a connection that is not read any more. If it was not dropped, its peer
// has some seconds to read the bytes of the outbox. If linger is not 0, Finish then
// tells the peer that nothing more comes. It reads and ignores the bytes that the peer
// still sends until the peer closes the connection, for at most linger.
func (c *Conn) Finish(linger time.Duration) {
	c.peers().forgetReading(c)
	s := c.Socket()
	if !c.IsDropped() {
		c.Out.flushWithin(settleFor, time.Time{})
		if linger > 0 {
			s.CloseWrite()
			s.Linger(linger)
		}
	}
	c.Out.closeOutbox()
	s.Free()
}

// HangUp writes the bytes of the outbox, if the peer takes them within some seconds,
// and then ends the reading and writing of the connection.
func (c *Conn) HangUp() {
	c.Out.flushWithin(0, time.Now().Add(settleFor))
	c.Out.dst.Close()
}

// PeerName returns the address of the other end, "unix" if it has none.
func PeerName(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil {
		if s := a.String(); s != "" && s != "@" {
			return s
		}
		return a.Network()
	}
	return "local"
}
