package server

import (
	"bytes"
	"fmt"
	"slices"

	"gm/pkg/server/transport"
	"gm/pkg/wire"
)

// reply is a reply that a connection is owed. It says when the reply may go:
//
//   - [conn.reply] returns one that goes now;
//   - [conn.laterReply] returns one that goes when it is sent later. The requests
//     that follow are applied meanwhile, but their replies wait behind it, so that
//     replies keep the order of the requests. A later reply is sent exactly once:
//     by the [committer] when a batch is durable, by a [fetch] when the store has
//     been read, or by a command when it has ended.
//
// One of its methods sends the bytes. They are called with the lock held.
type reply struct {
	c    *conn
	slot uint64 // number of the parked request that is answered; 0 for a reply that goes now
}

// reply returns a reply that goes now, or behind the later replies that wait.
func (c *conn) reply() reply { return reply{c: c} }

// laterReply parks the request that is being applied and returns its reply.
func (c *conn) laterReply() reply { return reply{c: c, slot: c.parked.addRequest()} }

// sendPacket sends a packet. It copies the arguments.
func (r reply) sendPacket(t wire.Type, args ...[]byte) {
	if n := len(args) - 1; n >= 0 && len(args[n]) >= transport.ShareFrom {
		r.sendShared(t, bytes.Clone(args[n]), args[:n]...)
		return
	}
	c, s := r.c, r.c.s
	if r.slot == 0 && !c.parked.hasWaiting() && s.cfg.Trace == nil { // nearly always: encode into the outbox
		c.markDirty()
		encode := func(dst []byte) []byte { return wire.Append(dst, wire.Response, t, args...) }
		if !c.Out.AppendFunc(encode) {
			c.dropOverflowing()
		}
		return
	}
	s.head = wire.Append(s.head[:0], wire.Response, t, args...)
	r.send(s.head, nil)
}

// sendShared sends a packet. It does not copy a last argument of transport.ShareFrom bytes or
// more, which must never change.
func (r reply) sendShared(t wire.Type, last []byte, args ...[]byte) {
	s := r.c.s
	s.head = appendHead(s.head[:0], t, len(last), args)
	r.send(s.head, last)
}

// appendHead appends a packet without its last argument, which has n bytes.
func appendHead(dst []byte, t wire.Type, n int, args [][]byte) []byte {
	for _, a := range args {
		n += len(a) + 1
	}
	dst = wire.AppendHeader(dst, wire.Response, t, n)
	for _, a := range args {
		dst = append(append(dst, a...), 0)
	}
	return dst
}

// sendText sends a reply of the admin protocol, which must not change any more.
func (r reply) sendText(text []byte) { r.send(nil, text) }

// sendError sends an ERROR packet.
func (r reply) sendError(code, text string) {
	r.sendPacket(wire.Error, []byte(code), []byte(text))
}

// send sends head and last, or keeps them while other replies come before this one.
// It does not copy a large last, or one without a head: see sendShared and sendText.
// The lock is held.
func (r reply) send(head, last []byte) {
	c, p := r.c, &r.c.parked
	switch {
	case r.slot != 0 && p.isFirst(r.slot):
		c.writeOut(head, last)
		c.sendParked()
	case r.slot != 0:
		one := p.request(r.slot)
		one.answer, one.answered = last, true
		if len(head) > 0 {
			one.answer = slices.Concat(head, last)
		}
		c.parkedGrew(len(one.answer))
	case p.hasWaiting():
		one := p.lastRequest()
		one.behind = append(append(one.behind, head...), last...)
		c.parkedGrew(len(head) + len(last))
	default:
		c.writeOut(head, last)
	}
}

// writeOut puts head and last into the outbox, which is flushed after the turn. The
// lock is held.
func (c *conn) writeOut(head, last []byte) {
	if c.s.cfg.Trace != nil {
		c.traceBytes(slices.Concat(head, last))
	}
	c.markDirty()
	if !c.Out.Append(head, last) {
		c.dropOverflowing()
	}
}

// dropOverflowing drops the connection because too much waits for it.
func (c *conn) dropOverflowing() {
	c.dropAfterTurn(fmt.Errorf("does not read: over %d bytes wait for it", c.s.peers.Limit()))
}

// traceBytes traces whole packets and lines.
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

// A connection whose requests are parked is read on, until one of these limits is
// reached. Then it is not read until all parked requests are answered.
const (
	maxParked      = 4096    // requests
	maxParkedBytes = 1 << 20 // of replies behind them
	keepParked     = 256     // the largest room that an empty list keeps, in requests
)

// parkedReplies are the requests of a connection whose replies come later, with
// the replies behind each of them. Later replies may be sent in any order; each
// goes out after those before it. Server.mu guards them.
type parkedReplies struct {
	list   []parked
	sent   int      // how many of list have gone out
	base   uint64   // the number of the request before list[0]
	size   int      // of all bytes in list
	onSent []func() // called when all have gone out
}

// parked is one request.
type parked struct {
	answered bool
	answer   []byte        // kept while others come before it
	behind   []byte        // bytes that follow the answer
	first    chan struct{} // closed when the answers before it have gone out; nil if nobody waits for that
}

// hasWaiting reports whether a request waits.
func (p *parkedReplies) hasWaiting() bool { return p.sent < len(p.list) }

// isFull reports whether a limit for parked requests is reached.
func (p *parkedReplies) isFull() bool {
	return p.hasWaiting() && (len(p.list) >= maxParked || p.size >= maxParkedBytes)
}

// addRequest parks a request and returns its number, which is not 0.
func (p *parkedReplies) addRequest() uint64 {
	p.list = append(p.list, parked{})
	return p.base + uint64(len(p.list))
}

// request returns the request with a number.
func (p *parkedReplies) request(n uint64) *parked { return &p.list[n-p.base-1] }

// isFirst reports whether the request with a number is the next to go out.
func (p *parkedReplies) isFirst(n uint64) bool { return n == p.base+uint64(p.sent)+1 }

// lastRequest returns the request behind which a reply has to stand.
func (p *parkedReplies) lastRequest() *parked { return &p.list[len(p.list)-1] }

// takeFirst removes the next request to go out.
func (p *parkedReplies) takeFirst() parked {
	one := p.list[p.sent]
	p.list[p.sent] = parked{}
	p.sent++
	p.size -= len(one.answer) + len(one.behind)
	if !p.hasWaiting() {
		p.base += uint64(p.sent)
		p.sent = 0
		if p.list = p.list[:0]; cap(p.list) > keepParked {
			p.list = nil
		}
	}
	return one
}

// whenSent calls f when all parked requests are answered.
func (p *parkedReplies) whenSent(f func()) { p.onSent = append(p.onSent, f) }

// callSent calls the functions of whenSent.
func (p *parkedReplies) callSent() {
	for _, f := range p.onSent {
		f()
	}
	p.onSent = nil
}

// parkedGrew counts n bytes. A connection is not read when it is crowded, so only
// results of its jobs can exceed the limit of its outbox.
func (c *conn) parkedGrew(n int) {
	c.parked.size += n
	if c.parked.size > c.s.peers.Limit() {
		c.dropOverflowing()
	}
}

// sendParked sends the replies behind the first parked request, whose answer is in
// the outbox, and the answered requests that follow it. The lock is held.
func (c *conn) sendParked() {
	for {
		if b := c.parked.takeFirst().behind; len(b) > 0 {
			c.writeOut(nil, b)
		}
		if !c.parked.hasWaiting() {
			c.parked.callSent() // not before the last answer is in the outbox
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
		c.writeOut(nil, next.answer)
	}
}

// awaitParked waits until the connection's parked requests are answered, or it
// is dropped.
func (c *conn) awaitParked() {
	c.s.mu.Lock()
	if !c.parked.hasWaiting() || c.IsDropped() {
		c.s.mu.Unlock()
		return
	}
	settled := make(chan struct{})
	c.parked.whenSent(func() { close(settled) })
	c.s.mu.Unlock()
	<-settled // later replies are all sent, also when the server ends
}
