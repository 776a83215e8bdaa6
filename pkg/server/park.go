package server

import (
	"gm/pkg/wire"
)

// A connection whose requests wait for the store is read on, until this much
// waits. Then it is read no further until all of it is answered.
const (
	maxParked      = 4096    // requests
	maxParkedBytes = 1 << 20 // of replies behind them
	keepParked     = 256     // what the list keeps room for when it is empty
)

// parkedReplies are a connection's requests that wait for the store, with what
// it is owed behind each of them, so that replies keep the order of the
// requests. They may be answered in any order; an answer is sent when those
// before it are. Server.mu guards them.
type parkedReplies struct {
	list   []parked
	sent   int      // how many of list have been sent
	base   uint64   // the number of list[0]
	size   int      // of all bytes in list
	onSent []func() // called when all is sent
}

// parked is one request.
type parked struct {
	answered bool
	answer   []byte        // kept while others come before it
	behind   []byte        // bytes that follow the answer
	first    chan struct{} // closed when the answers before are sent; nil if nobody waits for that
}

// waiting reports whether a request waits.
func (p *parkedReplies) waiting() bool { return p.sent < len(p.list) }

// crowded reports whether so much waits that reading on has to wait too.
func (p *parkedReplies) crowded() bool {
	return p.waiting() && (len(p.list) >= maxParked || p.size >= maxParkedBytes)
}

// add parks a request and returns the number to answer it with.
func (p *parkedReplies) add() uint64 {
	p.list = append(p.list, parked{})
	return p.base + uint64(len(p.list)-1)
}

// at returns the request with a number.
func (p *parkedReplies) at(n uint64) *parked { return &p.list[n-p.base] }

// isFirst reports whether the request with a number is the next to be sent.
func (p *parkedReplies) isFirst(n uint64) bool { return n == p.base+uint64(p.sent) }

// last returns the request behind which a reply has to stand.
func (p *parkedReplies) last() *parked { return &p.list[len(p.list)-1] }

// take removes the request to send next.
func (p *parkedReplies) take() parked {
	one := p.list[p.sent]
	p.list[p.sent] = parked{}
	p.sent++
	p.size -= len(one.answer) + len(one.behind)
	if !p.waiting() {
		p.base += uint64(p.sent)
		p.sent = 0
		if p.list = p.list[:0]; cap(p.list) > keepParked {
			p.list = nil
		}
	}
	return one
}

// whenSent has f called when all is sent.
func (p *parkedReplies) whenSent(f func()) { p.onSent = append(p.onSent, f) }

// wake calls the functions that wait until all is sent.
func (p *parkedReplies) wake() {
	for _, f := range p.onSent {
		f()
	}
	p.onSent = nil
}

// park puts a packet behind the last request that waits. The lock is held.
func (c *conn) park(t wire.Type, args [][]byte) {
	p := c.parked.last()
	before := len(p.behind)
	p.behind = wire.Append(p.behind, wire.Response, t, args...)
	c.parkedGrew(len(p.behind) - before)
}

// parkBytes is park for bytes that are put together already.
func (c *conn) parkBytes(b []byte) {
	p := c.parked.last()
	p.behind = append(p.behind, b...)
	c.parkedGrew(len(b))
}

// parkedGrew counts n bytes. Its own requests can't bring a connection over
// the limit, as it is not read when it is crowded; results can.
func (c *conn) parkedGrew(n int) {
	c.parked.size += n
	if c.parked.size > c.out.limits.most {
		c.overflow()
	}
}

// answer answers the parked request n with a packet, and lets out what stands
// behind it and needs to wait no longer. The lock is held.
func (c *conn) answer(n uint64, t wire.Type, args ...[]byte) {
	if !c.parked.isFirst(n) {
		p := c.parked.at(n)
		p.answer, p.answered = wire.Append(nil, wire.Response, t, args...), true
		c.parkedGrew(len(p.answer))
		return
	}
	c.owe(t, args...)
	c.letOut()
}

// answerShared is answer for a last argument that never changes.
func (c *conn) answerShared(n uint64, t wire.Type, last []byte, args ...[]byte) {
	if !c.parked.isFirst(n) {
		c.answer(n, t, append(args[:len(args):len(args)], last)...)
		return
	}
	c.oweShared(t, last, args...)
	c.letOut()
}

// answerText is answer for an admin reply.
func (c *conn) answerText(n uint64, b []byte) {
	if !c.parked.isFirst(n) {
		p := c.parked.at(n)
		p.answer, p.answered = b, true
		c.parkedGrew(len(b))
		return
	}
	c.oweBytes(b)
	c.letOut()
}

// letOut sends what stands behind the first parked request, whose answer is
// owed already, and those after it that are answered.
func (c *conn) letOut() {
	for {
		if b := c.parked.take().behind; len(b) > 0 {
			c.oweBytes(b)
		}
		if !c.parked.waiting() {
			c.parked.wake() // not before the last answer is in the outbox
			return
		}
		next := &c.parked.list[c.parked.sent]
		if next.first != nil {
			close(next.first)
			next.first = nil
		}
		if !next.answered {
			return
		}
		c.oweBytes(next.answer)
	}
}

// awaitParked waits until the connection's parked requests are answered, or it
// is dropped.
func (c *conn) awaitParked() {
	c.s.mu.Lock()
	if !c.parked.waiting() || c.doomed.Load() {
		c.s.mu.Unlock()
		return
	}
	settled := make(chan struct{})
	c.parked.whenSent(func() { close(settled) })
	c.s.mu.Unlock()
	<-settled // the store's users answer everything, also when they end
}
