package transport

import (
	"sync"
	"sync/atomic"
)

const (
	// smallShare is the number of bytes of an incomplete request that a connection may
	// hold, without waiting for others, while memory is short.
	smallShare = 64 << 10
	// leastShare is that number while twice the bound is in use.
	leastShare = 4 << 10
	// countEvery is the change of an outbox, in bytes, after which it is counted anew.
	countEvery = 16 << 10
)

// memory sums up the bytes that all connections hold: requests that have not arrived
// completely, and outboxes.
//
// Over the bound, connections that hold a large part of a request are not read,
// except one at a time: it goes on until its request is complete. If the outboxes
// alone are over the bound, none of these connections is read, and peers that take
// nothing are dropped, the largest first; see [Sweep].
type memory struct {
	bound int64        // in bytes; 0 is no bound
	used  atomic.Int64 // bytes
	out   atomic.Int64 // the part of used in outboxes

	mu      sync.Mutex
	only    *Conn // that is read over the bound
	waiting []*Conn
	closed  bool
}

// Used returns the number of bytes that all connections hold.
func (p *Peers) Used() int64 { return p.memory.used.Load() }

// isOver reports whether the connections hold more than the bound.
func (m *memory) isOver() bool { return m.bound > 0 && m.used.Load() > m.bound }

// countOut counts the bytes of an outbox if they have changed by much. counted is the
// number that was counted before. The caller guards it.
func (p *Peers) countOut(counted *int, size int) {
	if d := size - *counted; d >= countEvery || d <= -countEvery || size == 0 && d != 0 {
		*counted = size
		p.memory.out.Add(int64(d))
		p.countHeld(int64(d))
	}
}

// countHeld counts n bytes. If there is room again, the connections that wait for it
// are read.
func (p *Peers) countHeld(n int64) {
	m := &p.memory
	now := m.used.Add(n)
	if m.bound <= 0 {
		return
	}
	if n > 0 && now > m.bound && now-n <= m.bound {
		p.wantSweep()
	}
	if n < 0 && now <= m.bound && now-n > m.bound {
		m.mu.Lock()
		m.resumeWaiting()
		m.mu.Unlock()
	}
}

// resumeWaiting makes the reading of all waiting connections go on; they ask mayRead
// again. mu is held.
func (m *memory) resumeWaiting() {
	for i, c := range m.waiting {
		m.waiting[i] = nil
		c.starved.Store(false)
		c.resumeReading()
	}
	m.waiting = m.waiting[:0]
}

// mayRead reports whether more bytes of the connection may be read. If not,
// resumeReading is called when it is worth asking again. The caller is the goroutine
// that reads the connection.
func (c *Conn) mayRead() bool {
	m := &c.peers().memory
	if !m.isOver() || c.kept.Load() <= leastShare || c.kept.Load() <= smallShare && m.used.Load() <= 2*m.bound {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed || c.IsDropped() || m.only == c || !m.isOver():
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

// noteRead notes that pending bytes have arrived that are not applied, and that they
// occupy kept bytes. If the connection was read over the bound and has got a request
// completely, it is the next one's turn. The caller is the goroutine that reads the
// connection.
func (c *Conn) noteRead(pending, kept int) {
	p := c.peers()
	if now, before := int64(kept), c.kept.Load(); now != before {
		c.kept.Store(now)
		p.countHeld(now - before)
	}
	if c.only && c.whole {
		p.passOnReading(c)
	}
	switch begun := c.begun.Load(); {
	case pending > 0:
		c.begun.Store(int64(p.now()))
		p.wantSweep()
	case begun != 0:
		c.begun.Store(0)
	}
}

// passOnReading lets the next connection be read over the bound, as c was.
func (p *Peers) passOnReading(c *Conn) {
	m := &p.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	c.only = false
	if m.only == c {
		m.only = nil
		m.resumeWaiting()
	}
}

// letDroppedRead makes the reading of a dropped connection go on, so that its end is
// found.
func (p *Peers) letDroppedRead(c *Conn) {
	m := &p.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, other := range m.waiting {
		if other == c {
			m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
			c.starved.Store(false)
			c.resumeReading()
			return
		}
	}
}

// forgetReading ends the counting of a connection that is not read any more.
func (p *Peers) forgetReading(c *Conn) {
	p.countHeld(-c.kept.Swap(0))
	p.passOnReading(c)
}

// isOnly reports whether the connection is read over the bound, and others wait for
// that.
func (m *memory) isOnly(c *Conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.only == c && len(m.waiting) > 0
}
