package server

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// leastPeerMemory is the least bound for what peers hold.
	leastPeerMemory = 16 << 20
	// smallShare is what a connection may hold of a packet that has not arrived
	// whole, without waiting for others, while memory is short.
	smallShare = 64 << 10
	// leastShare is that if memory is very short.
	leastShare = 4 << 10
	// countEvery is by how much an outbox may change before it is counted anew.
	countEvery = 16 << 10
	// pressureIdle is how long a peer may make no progress while memory is short,
	// or a quarter of Config.PeerTimeout if that is less.
	pressureIdle = 5 * time.Second
)

// errIdle drops a peer while memory is short.
var errIdle = errors.New("makes no progress while memory is short")

// errBegun drops a peer that has begun a packet and sends no more of it.
var errBegun = errors.New("sends no more of a packet that it has begun")

// peerMemory sums up what all connections hold: packets that have not arrived
// whole, outboxes, replies behind the store.
//
// Over the bound, connections that hold much of a packet are not read, except
// one at a time: it goes on until its packet is whole. If what the outboxes hold
// is over the bound, none is read, and peers that take nothing are dropped, the
// largest first; see sweep.
type peerMemory struct {
	bound int64        // in bytes; 0 is no bound
	used  atomic.Int64 // bytes
	out   atomic.Int64 // of them, in outboxes and behind the store

	crossed func() // called when used comes over the bound

	mu      sync.Mutex
	only    *conn // that is read over the bound
	waiting []*conn
	closed  bool
}

// over reports whether there is too much.
func (m *peerMemory) over() bool { return m.bound > 0 && m.used.Load() > m.bound }

// countOut counts what an outbox holds, if it has changed by much. counted is
// what was counted of it. The caller guards it.
func (m *peerMemory) countOut(counted *int, size int) {
	if d := size - *counted; d >= countEvery || d <= -countEvery || size == 0 && d != 0 {
		*counted = size
		m.out.Add(int64(d))
		m.add(int64(d))
	}
}

// add counts n bytes. If there is room again, those who wait for it go on.
func (m *peerMemory) add(n int64) {
	now := m.used.Add(n)
	if m.bound <= 0 {
		return
	}
	if n > 0 && now > m.bound && now-n <= m.bound {
		m.crossed()
	}
	if n < 0 && now <= m.bound && now-n > m.bound {
		m.mu.Lock()
		m.wake()
		m.mu.Unlock()
	}
}

// wake has all go on who wait; they ask again. mu is held.
func (m *peerMemory) wake() {
	for i, c := range m.waiting {
		m.waiting[i] = nil
		c.starved.Store(false)
		c.hold.resume()
	}
	m.waiting = m.waiting[:0]
}

// mayRead reports whether more may be read of c. If not, hold.resume is called
// when it is worth asking again. The caller is c's read loop.
func (m *peerMemory) mayRead(c *conn) bool {
	if !m.over() || c.kept.Load() <= leastShare || c.kept.Load() <= smallShare && m.used.Load() <= 2*m.bound {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed || c.doomed.Load() || m.only == c || !m.over():
		return true
	case m.only == nil && m.out.Load() <= m.bound:
		m.only = c
		c.only, c.whole = true, false
		return true
	case !c.starved.Load():
		c.starved.Store(true)
		m.waiting = append(m.waiting, c)
	}
	return false
}

// countIn counts what c keeps of a packet that has not arrived whole. If c was
// read over the bound and has got a packet whole, the next one's turn comes. The
// caller is c's read loop.
func (m *peerMemory) countIn(c *conn) {
	if kept, before := int64(c.in.Kept()), c.kept.Load(); kept != before {
		c.kept.Store(kept)
		m.add(kept - before)
	}
	if c.only && c.whole {
		m.passOn(c)
	}
}

// passOn lets the next connection be read over the bound, as c was.
func (m *peerMemory) passOn(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.only = false
	if m.only == c {
		m.only = nil
		m.wake()
	}
}

// letGo has c go on, which is dropped.
func (m *peerMemory) letGo(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, other := range m.waiting {
		if other == c {
			m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
			c.starved.Store(false)
			c.hold.resume()
			return
		}
	}
}

// forget ends the counting of c, whose read loop has ended.
func (m *peerMemory) forget(c *conn) {
	m.add(-c.kept.Swap(0))
	m.passOn(c)
}

// isOnly reports whether c is read over the bound, and others wait for that.
func (m *peerMemory) isOnly(c *conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.only == c && len(m.waiting) > 0
}

// close has everybody go on.
func (m *peerMemory) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake()
}

// noteRead notes what c's read loop has read. The caller is that.
func (c *conn) noteRead(now int64) {
	c.s.peers.countIn(c)
	switch begun := c.begun.Load(); {
	case c.in.Buffered() > 0:
		c.begun.Store(max(now, 1))
		c.s.wantSweep()
	case begun != 0:
		c.begun.Store(0)
	}
}

// sweepEvery returns how often peers are looked through while there is a reason.
func (s *Server) sweepEvery() time.Duration {
	idle := pressureIdle
	if s.cfg.PeerTimeout > 0 {
		idle = min(idle, s.cfg.PeerTimeout/4)
	}
	return idle / 2
}

// wantSweep has the peers looked through soon.
func (s *Server) wantSweep() {
	if s.sweeping.CompareAndSwap(false, true) {
		s.sweeper.Reset(s.sweepEvery())
	}
}

// idler is a connection that makes no progress, with the bytes that it holds.
type idler struct {
	c    *conn
	held int
}

// swept is the state of a connection at a sweep.
type swept struct {
	begun   int64
	written uint64
	idle    int // sweeps in a row without progress
}

// sweep is the sweeper's: it drops peers that have begun a packet and send no
// more of it for Config.PeerTimeout, and while memory is short those that make no
// progress at all, the largest first, until there is room again.
func (s *Server) sweep() {
	s.sweeping.Store(false)
	s.mu.Lock()
	s.conns.beginWalk()
	s.mu.Unlock()
	var last *conn
	var idle []idler
	again := false
	for more := true; more; {
		s.mu.Lock()
		if s.closed {
			s.conns.endWalk()
			s.mu.Unlock()
			return
		}
		b, now := newBudget(pageSteps), s.readTime()
		last, more = s.conns.after(last, func(c *conn) bool {
			begun, held := c.begun.Load(), c.heldBytes()
			again = again || begun > 0
			switch sweeps := s.noteIdle(c, begun, held); {
			case sweeps == 0:
			case begun > 0 && s.cfg.PeerTimeout > 0 && now-begun >= s.cfg.PeerTimeout.Milliseconds():
				c.drop(errBegun)
			case held > 0 && sweeps >= 2:
				idle = append(idle, idler{c, held})
			}
			return b.spend(1)
		})
		if !more {
			s.conns.endWalk()
		}
		s.endTurn(nil)
	}
	if s.peers.over() {
		s.dropIdle(idle)
		again = true
	}
	if again {
		s.wantSweep()
	}
}

// heldBytes returns how many bytes the connection holds: of a packet that has
// begun, and of replies. The lock is held.
func (c *conn) heldBytes() int {
	held := c.out.owed() + c.parked.size
	if c.begun.Load() > 0 {
		held += int(c.kept.Load())
	}
	return held
}

// noteIdle compares the progress of a connection that holds something with the
// last sweep. It returns for how many sweeps in a row there was none. A
// connection that waits for others is not idle. The lock is held.
func (s *Server) noteIdle(c *conn, begun int64, held int) (sweeps int) {
	if begun == 0 && held == 0 {
		delete(s.swept, c)
		return 0
	}
	written := c.out.progressed()
	last, known := s.swept[c]
	if !known || begun != last.begun || written != last.written || c.starved.Load() || c.hold.isHeld() {
		last = swept{begun: begun, written: written, idle: -1}
	}
	last.idle++
	s.swept[c] = last
	return last.idle
}

// dropIdle drops the largest of those who make no progress, until there is room,
// and the one that others wait for.
func (s *Server) dropIdle(idle []idler) {
	slices.SortFunc(idle, func(a, b idler) int { return cmp.Compare(b.held, a.held) })
	excess := s.peers.used.Load() - s.peers.bound
	s.mu.Lock()
	defer s.endTurn(nil)
	for _, one := range idle {
		if excess > 0 || s.peers.isOnly(one.c) {
			one.c.drop(errIdle)
			excess -= int64(one.held)
		}
	}
}
