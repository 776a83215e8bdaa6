package server

import "gm/pkg/server/transport"

// rounds are the rounds of the poller of a server. The poller's goroutine owns it.
type rounds struct {
	s     *Server
	at    moment  // when the present round began
	spare []*conn // for endTurn
}

// BeginRound implements [transport.Rounds].
func (r *rounds) BeginRound() (now int64) {
	r.at = r.s.clocks.read()
	return r.at.now
}

// EndTurns implements [transport.Rounds].
func (r *rounds) EndTurns() {
	r.s.mu.Lock()
	r.spare = r.s.endTurn(r.spare)
}

// Lane implements [transport.Handler]. Clients have their turns before workers, so
// that workers find the new jobs and need not be woken for them. A connection that has
// sent an admin command may send another one, which may take long.
func (c *conn) Lane() transport.Lane {
	switch {
	case c.slow:
		return transport.SlowLane
	case c.peer.NumFunctions() > 0:
		return transport.SecondLane
	}
	return transport.FirstLane
}

// Drop implements [transport.Handler].
func (c *conn) Drop(why error) {
	c.s.mu.Lock()
	defer c.s.endTurn(nil)
	c.dropAfterTurn(why)
}

// End implements [transport.Handler].
func (c *conn) End(why error) {
	defer c.s.wg.Done()
	c.endConn(why)
}

// polledConn is the handler of a connection that the poller reads.
type polledConn struct{ *conn }

// newPolledConn returns a connection that the poller will read.
func newPolledConn(s *Server, socket transport.Socket, addr string) *conn {
	c := newConn(s, socket, addr)
	c.Init(socket, s.peers, polledConn{c}, true)
	return c
}

// Fill implements [transport.Handler].
func (h polledConn) Fill(lent []byte) (pending int, full bool, err error) {
	full, err = h.in.FillLent(lent)
	return h.in.Buffered(), full, err
}

// Apply implements [transport.Handler].
func (h polledConn) Apply() (transport.Applied, error) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	return h.apply(h.s.rounds.at)
}

// Release implements [transport.Handler].
func (h polledConn) Release() (pending, kept int) {
	h.in.ReturnLent()
	return h.in.Buffered(), h.in.Kept()
}

// aloneConn is the handler of a connection that a goroutine of its own reads.
type aloneConn struct {
	*conn
	spare []*conn // for endTurn
}

// newAloneConn returns a connection that a goroutine of its own will serve.
func newAloneConn(s *Server, socket transport.Socket, addr string) *conn {
	c := newConn(s, socket, addr)
	c.Init(socket, s.peers, &aloneConn{conn: c}, false)
	return c
}

// Fill implements [transport.Handler].
func (h *aloneConn) Fill([]byte) (pending int, full bool, err error) {
	err = h.in.Fill()
	return h.in.Buffered(), false, err
}

// Apply implements [transport.Handler]. It flushes the outboxes too.
func (h *aloneConn) Apply() (transport.Applied, error) {
	h.s.mu.Lock()
	applied, err := h.apply(h.s.clocks.read())
	h.spare = h.s.endTurn(h.spare)
	return applied, err
}

// Release implements [transport.Handler].
func (h *aloneConn) Release() (pending, kept int) { return h.in.Buffered(), h.in.Kept() }
