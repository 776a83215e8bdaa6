package server

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gm/internal/tune"
)

const (
	// pollEvents is how many connections are served before those to which
	// something is owed get it.
	pollEvents = 64
	// bulkBytes is what is read of a connection first. If that much is there it
	// is one that sends much. Those have turns for as long as bulkTime, then
	// all others have one: who asks for little need not wait until all is
	// applied that was sent in bulk.
	bulkBytes = 4 << 10
	bulkTime  = 250 * time.Microsecond
	// lentBytes is what is read of such a connection before the others' turn.
	lentBytes = 32 << 10
	// turnTime is for how long the packets of one turn are applied.
	turnTime = 250 * time.Microsecond
)

// poller serves many connections with one goroutine, which sleeps in the
// system until one of them has something to be read, or room for what it is
// owed. So a connection that is idle costs neither a goroutine nor a buffer,
// and what comes together is answered together.
type poller struct {
	s    *Server
	ep   int // of epoll
	kick int // an eventfd, which ends the sleep
	done chan struct{}

	mu      sync.Mutex
	conns   []*conn // by their file descriptors
	kicked  []*conn // whose requests are not held any more
	asleep  bool
	closing bool

	// The loop's.
	events [pollEvents]unix.EpollEvent
	found  [pollEvents]*conn // of events
	// Who is to have a turn: those who only ask for jobs have theirs first, so
	// that workers find what there is to do and need not be woken for it; who
	// sends in bulk comes last. Of those whose last turn had an admin command one
	// has a turn, with one command, before the others' next.
	clients, workers lane
	admins, bulk     connQueue
	lent             []byte
	spare            []*conn // for endTurn
}

func newPoller(s *Server) (*poller, error) {
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
	p := &poller{s: s, ep: ep, kick: kick, done: make(chan struct{}), lent: make([]byte, lentBytes)}
	go p.run()
	return p, nil
}

// polls reports whether a connection can be a poller's.
func polls(nc net.Conn) bool {
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// serve takes a connection over. It returns false if that can't be done, and nc
// is as it was.
func (p *poller) serve(nc net.Conn) bool {
	addr := peerName(nc)
	t, err := p.adopt(nc)
	if err != nil {
		p.s.say(slog.LevelDebug, "poll", slog.String("peer", addr), slog.Any("err", err)) // it can be served otherwise
		return false
	}
	c := newConn(p.s, t, addr)
	c.hold.resume = func() { p.resume(c) }
	if !p.s.admit(c) {
		t.free()
		return true
	}
	c.logStart()
	if err := p.watch(c, t); err != nil {
		p.end(c, t, err)
	}
	return true
}

// watch has the loop hear of c.
func (p *poller) watch(c *conn, t *polled) error {
	p.mu.Lock()
	for t.n >= len(p.conns) {
		p.conns = append(p.conns, nil)
	}
	p.conns[t.n] = c
	p.mu.Unlock()
	err := unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, t.n, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(t.n),
	})
	return os.NewSyscallError("epoll_ctl", err)
}

// forget is the end of watch, before the descriptor is closed.
func (p *poller) forget(t *polled) {
	p.mu.Lock()
	if t.n < len(p.conns) {
		p.conns[t.n] = nil
	}
	p.mu.Unlock()
}

// stop ends the poller, which has no connections any more.
func (p *poller) stop() {
	p.mu.Lock()
	p.closing = true
	p.wake()
	p.mu.Unlock()
	<-p.done
	unix.Close(p.ep)
	unix.Close(p.kick)
}

// resume has a connection read on that was held. It may be called under
// Server.mu.
func (p *poller) resume(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kicked = append(p.kicked, c)
	p.wake()
}

// wake ends the loop's sleep. The lock is held.
func (p *poller) wake() {
	if p.asleep {
		p.asleep = false
		var one [8]byte
		one[0] = 1
		unix.Write(p.kick, one[:]) //nolint:errcheck // can only be full: then it is awake
	}
}

func (p *poller) run() {
	defer close(p.done)
	var yielder tune.Yielder
	for {
		found, ok := p.wait()
		if !ok {
			return
		}
		for i, c := range found {
			if c != nil {
				p.tell(c, p.events[i].Events)
				found[i] = nil
			}
		}
		at := p.s.clocks.read()
		yielder.Yield(at.now)
		p.turns(at)
		p.adminTurn(at)
		p.bulkTurns(at)
	}
}

// turns has those who do not send much have a turn each.
func (p *poller) turns(at moment) {
	if p.clients.empty() && p.workers.empty() {
		return
	}
	for _, l := range []*lane{&p.clients, &p.workers} {
		turns := l.take()
		for i, c := range turns {
			turns[i] = nil
			p.turn(at, c)
		}
	}
	p.pay()
}

// adminTurn has one connection that sends admin commands have a turn.
func (p *poller) adminTurn(at moment) {
	if c := p.admins.pop(); c != nil {
		p.turn(at, c)
		p.pay()
	}
}

// bulkTurns has those who send much have turns for some time.
func (p *poller) bulkTurns(at moment) {
	if p.bulk.empty() {
		return
	}
	for began := time.Now(); ; {
		p.turn(at, p.bulk.pop())
		if p.bulk.empty() || time.Since(began) > bulkTime {
			break
		}
	}
	p.pay()
}

// pay writes what is owed after some turns.
func (p *poller) pay() {
	p.s.mu.Lock()
	p.spare = p.s.endTurn(p.spare)
}

// wait returns whose sockets have something to tell: that of found[i] is in
// events[i]. It sleeps until there is something to do, and returns false if
// the poller is to stop.
func (p *poller) wait() (found []*conn, ok bool) {
	p.mu.Lock()
	p.takeKicked()
	closing, timeout := p.closing, 0
	if p.clients.empty() && p.workers.empty() && p.admins.empty() && p.bulk.empty() {
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
	p.takeKicked()
	for i := range n {
		p.found[i] = nil
		if fd := int(p.events[i].Fd); fd < len(p.conns) {
			p.found[i] = p.conns[fd]
		}
	}
	return p.found[:n], true
}

// takeKicked lets the connections go on that are not held any more.
func (p *poller) takeKicked() {
	for i, c := range p.kicked {
		p.kicked[i] = nil
		t := c.sock.(*polled)
		t.held = false
		p.enqueue(c, t)
	}
	p.kicked = p.kicked[:0]
}

// enqueue gives c a turn, if it is to have none yet.
func (p *poller) enqueue(c *conn, t *polled) {
	switch {
	case t.queued:
		return
	case c.slow:
		p.admins.push(c)
	case t.bulk:
		p.bulk.push(c)
	case c.peer.NumFunctions() > 0:
		p.workers.push(c)
	default:
		p.clients.push(c)
	}
	t.queued = true
}

// tell takes what epoll says about c.
func (p *poller) tell(c *conn, events uint32) {
	t := c.sock.(*polled)
	if events&unix.EPOLLOUT != 0 {
		c.out.resume()
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

// turn reads once from c, applies what has arrived whole, and gives it another
// turn if there may be more. What it owes then is written with what others do.
func (p *poller) turn(at moment, c *conn) {
	t := c.sock.(*polled)
	t.queued = false
	if t.held || t.ending {
		return
	}
	if !t.unapplied {
		if !p.s.peers.mayRead(c) {
			return
		}
		lent := p.lent
		if !t.bulk {
			lent = lent[:bulkBytes]
		}
		full, err := c.in.FillLent(lent)
		if err == nil && c.out.over.Load() {
			c.out.progress() // it sends, and will read when it has done
		}
		t.unread = full || t.hungUp
		t.bulk = c.in.Buffered() >= bulkBytes
		if err != nil {
			c.in.ReturnLent()
			p.failed(c, t, err)
			return
		}
	}
	err := p.apply(at, c, t)
	c.in.ReturnLent()
	c.noteRead(at.now)
	switch {
	case err != nil:
		p.end(c, t, err)
	case !t.held && (t.unread || t.unapplied):
		p.enqueue(c, t)
	}
}

// apply applies what has arrived whole, unless the connection is held: for as
// long as turnTime, or up to an admin command. The rest has its turn later.
func (p *poller) apply(at moment, c *conn, t *polled) error {
	var over time.Time // not known before it is needed
	for t.unapplied = true; t.unapplied && !t.held; {
		p.s.mu.Lock()
		more, held, ack, err := c.apply(at)
		p.s.mu.Unlock()
		if err != nil {
			return err
		}
		if ack {
			t.ackNow()
		}
		t.unapplied, t.held = more, held
		switch {
		case !more || held:
		case over.IsZero():
			over = time.Now().Add(turnTime)
		case !time.Now().Before(over):
			return nil
		}
		if c.slow {
			return nil
		}
	}
	return nil
}

// failed takes an error of reading.
func (p *poller) failed(c *conn, t *polled, err error) {
	switch err {
	case errWouldBlock:
		t.unread = false
		return
	case io.EOF:
		err = errGone
	}
	p.end(c, t, err)
}

// end has c end, in a goroutine, as that may have to wait for the other end.
func (p *poller) end(c *conn, t *polled, why error) {
	t.ending, t.late = true, make(chan struct{}, 1)
	go func() {
		defer p.s.wg.Done()
		c.end(why)
	}()
}
