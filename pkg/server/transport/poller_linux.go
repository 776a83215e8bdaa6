package transport

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gm/internal/tune"
)

const (
	// pollEvents is the maximum number of connections that have turns before the
	// outboxes are written.
	pollEvents = 64
	// bulkBytes is the number of bytes that are read of a connection first. A
	// connection that has sent as many sends in bulk. Such connections have turns for
	// bulkTime, then all others have one: a small request does not wait until all is
	// applied that was sent in bulk.
	bulkBytes = 4 << 10
	bulkTime  = 250 * time.Microsecond
	// lentBytes is the number of bytes that are read of such a connection before the
	// turns of others.
	lentBytes = 32 << 10
	// turnTime is the time for which the requests of one turn are applied.
	turnTime = 250 * time.Microsecond
)

// Poller serves many connections with one goroutine. It sleeps in the system until
// some of them have bytes to read, or room for the bytes of their outboxes.
type Poller struct {
	rounds Rounds
	ep     int // of epoll
	kick   int // an eventfd, which ends the sleep
	done   chan struct{}

	mu      sync.Mutex
	conns   []*Conn // by their file descriptors
	resumed []*Conn // whose reading goes on
	asleep  bool
	closing bool

	// For the poller's goroutine.
	events [pollEvents]unix.EpollEvent
	found  [pollEvents]*Conn // of events
	// The connections that wait for a turn, by lane. Those that send in bulk have a
	// queue of their own, and their turns come last.
	first, second connLane
	slow, bulk    connQueue
	lent          []byte
}

// NewPoller starts a poller.
func NewPoller(r Rounds) (*Poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	kick, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err == nil {
		err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, kick, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(kick)})
	}
	if err != nil {
		unix.Close(ep)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &Poller{rounds: r, ep: ep, kick: kick, done: make(chan struct{}), lent: make([]byte, lentBytes)}
	go p.run()
	return p, nil
}

// CanPoll reports whether a poller can serve a connection.
func CanPoll(nc net.Conn) bool {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// Watch begins to serve a connection whose socket is from Adopt. If that fails, the
// connection ends.
func (p *Poller) Watch(c *Conn) {
	t := c.Out.dst.(*pollSocket)
	p.mu.Lock()
	for t.n >= len(p.conns) {
		p.conns = append(p.conns, nil)
	}
	p.conns[t.n] = c
	p.mu.Unlock()
	err := unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, t.n, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(t.n),
	})
	if err != nil {
		p.endConn(c, t, os.NewSyscallError("epoll_ctl", err))
	}
}

// unwatch is the end of Watch, before the descriptor is closed.
func (p *Poller) unwatch(t *pollSocket) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.n < len(p.conns) {
		p.conns[t.n] = nil
	}
}

// Stop ends the poller, which has no connections any more.
func (p *Poller) Stop() {
	p.mu.Lock()
	p.closing = true
	p.endSleep()
	p.mu.Unlock()
	<-p.done
	unix.Close(p.ep)
	unix.Close(p.kick)
}

// resumeReading makes the reading of a connection go on. It does not wait.
func (p *Poller) resumeReading(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resumed = append(p.resumed, c)
	p.endSleep()
}

// endSleep ends the sleep of the poller's goroutine. mu is held.
func (p *Poller) endSleep() {
	if p.asleep {
		p.asleep = false
		var one [8]byte
		one[0] = 1
		unix.Write(p.kick, one[:]) //nolint:errcheck // can only be full: then it is awake
	}
}

func (p *Poller) run() {
	defer close(p.done)
	var yielder tune.Yielder
	for {
		found, ok := p.awaitEvents()
		if !ok {
			return
		}
		for i, c := range found {
			if c != nil {
				p.noteEvents(c, p.events[i].Events)
				found[i] = nil
			}
		}
		yielder.Yield(p.rounds.BeginRound())
		p.laneTurns()
		p.slowTurn()
		p.bulkTurns()
	}
}

// laneTurns gives a turn to each connection of the first and the second lane.
func (p *Poller) laneTurns() {
	if p.first.isEmpty() && p.second.isEmpty() {
		return
	}
	for _, l := range []*connLane{&p.first, &p.second} {
		turns := l.popAll()
		for i, c := range turns {
			turns[i] = nil
			p.giveTurn(c)
		}
	}
	p.rounds.EndTurns()
}

// slowTurn gives a turn to one connection of the slow lane.
func (p *Poller) slowTurn() {
	if c := p.slow.pop(); c != nil {
		p.giveTurn(c)
		p.rounds.EndTurns()
	}
}

// bulkTurns gives turns to connections that send in bulk, for bulkTime.
func (p *Poller) bulkTurns() {
	if p.bulk.isEmpty() {
		return
	}
	for began := time.Now(); ; {
		p.giveTurn(p.bulk.pop())
		if p.bulk.isEmpty() || time.Since(began) > bulkTime {
			break
		}
	}
	p.rounds.EndTurns()
}

// awaitEvents returns the connections whose sockets have events: events[i] is of
// found[i]. It sleeps until there is something to do, and returns false if the poller
// must stop.
func (p *Poller) awaitEvents() (found []*Conn, ok bool) {
	p.mu.Lock()
	p.enqueueResumed()
	closing, timeout := p.closing, 0
	if p.first.isEmpty() && p.second.isEmpty() && p.slow.isEmpty() && p.bulk.isEmpty() {
		timeout, p.asleep = -1, true
	}
	p.mu.Unlock()
	if closing {
		return nil, false
	}
	n, err := unix.EpollWait(p.ep, p.events[:], timeout)
	if err != nil {
		n = 0 // a signal
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asleep = false
	p.enqueueResumed()
	for i := range n {
		p.found[i] = nil
		if fd := int(p.events[i].Fd); fd < len(p.conns) {
			p.found[i] = p.conns[fd]
		}
	}
	return p.found[:n], true
}

// enqueueResumed gives a turn to the connections whose reading goes on. mu is held.
func (p *Poller) enqueueResumed() {
	for i, c := range p.resumed {
		p.resumed[i] = nil
		t := c.Out.dst.(*pollSocket)
		t.held = false
		p.enqueue(c, t)
	}
	p.resumed = p.resumed[:0]
}

// enqueue makes a connection wait for a turn, if it does not wait for one yet.
func (p *Poller) enqueue(c *Conn, t *pollSocket) {
	if t.queued {
		return
	}
	t.queued = true
	lane := c.handler.Lane()
	switch {
	case lane == SlowLane:
		p.slow.push(c)
	case t.bulk:
		p.bulk.push(c)
	case lane == SecondLane:
		p.second.push(c)
	default:
		p.first.push(c)
	}
}

// noteEvents handles the events that epoll has reported for a connection.
func (p *Poller) noteEvents(c *Conn, events uint32) {
	t := c.Out.dst.(*pollSocket)
	if events&unix.EPOLLOUT != 0 {
		c.Out.resumeWriting()
	}
	const end = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	switch {
	case events&(unix.EPOLLIN|end) == 0:
	case t.ending:
		select {
		case t.late <- struct{}{}:
		default:
		}
	default:
		t.unread = true
		t.hungUp = t.hungUp || events&end != 0
		p.enqueue(c, t)
	}
}

// giveTurn reads once from a connection, has the complete requests applied, and gives
// it another turn if there may be more.
func (p *Poller) giveTurn(c *Conn) {
	t := c.Out.dst.(*pollSocket)
	t.queued = false
	if t.held || t.ending {
		return
	}
	if !t.unapplied {
		if !c.mayRead() {
			return
		}
		lent := p.lent
		if !t.bulk {
			lent = lent[:bulkBytes]
		}
		pending, full, err := c.handler.Fill(lent)
		if err == nil && c.Out.IsAboveMark() {
			c.Out.noteAlive() // a peer may read only after it has sent all
		}
		t.unread = full || t.hungUp
		t.bulk = pending >= bulkBytes
		if err != nil {
			c.handler.Release()
			p.noteReadError(c, t, err)
			return
		}
	}
	err := p.applyPending(c, t)
	c.noteRead(c.handler.Release())
	switch {
	case err != nil:
		p.endConn(c, t, err)
	case !t.held && (t.unread || t.unapplied):
		p.enqueue(c, t)
	}
}

// applyPending has the complete requests applied until turnTime is over, one was slow,
// or the connection is held. The next turn goes on with the rest.
func (p *Poller) applyPending(c *Conn, t *pollSocket) error {
	var over time.Time // not known before it is needed
	for t.unapplied = true; t.unapplied && !t.held; {
		applied, err := c.handler.Apply()
		if err != nil {
			return err
		}
		if applied.Ack {
			t.AckNow()
		}
		t.unapplied, t.held = applied.More, applied.Held
		switch {
		case !applied.More || applied.Held:
		case over.IsZero():
			over = time.Now().Add(turnTime)
		case !time.Now().Before(over):
			return nil
		}
		if applied.Slow {
			return nil
		}
	}
	return nil
}

// noteReadError handles an error of reading: it ends the connection unless there was
// only nothing to read.
func (p *Poller) noteReadError(c *Conn, t *pollSocket, err error) {
	if err == ErrWouldBlock {
		t.unread = false
		return
	}
	p.endConn(c, t, err)
}

// endConn ends a connection in a goroutine of its own, which may wait for the peer.
func (p *Poller) endConn(c *Conn, t *pollSocket, why error) {
	t.ending, t.late = true, make(chan struct{}, 1)
	go c.handler.End(why)
}
