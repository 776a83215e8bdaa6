package server

import "gm/pkg/queue"

// Back-pressure. The server applies a worker's packet when all clients of its job have
// room for it, and does not read from the worker until then. So a client that reads
// slowly gets all of a streamed result, and the server keeps no more for it than the
// mark of its outbox and one packet. Likewise a connection is not read while
// its own outbox has no room for the answers. A peer that takes no bytes for
// Config.PeerTimeout while its outbox is above the mark is dropped, which frees
// the connections that wait for it.
//
// All of a worker's jobs wait while one of their clients is slow. A peer that
// is client and worker, and writes without reading, waits for itself until it is
// dropped.

// holdConn stops the reading of the connection, whose turn it is, until the returned
// function is called.
func (c *conn) holdConn() (release func()) {
	c.expects = true
	return c.Hold.Expect()
}

// awaitRoom makes the packet that is being applied wait for room in the
// connection's own outbox.
func (c *conn) awaitRoom() {
	c.Out.WhenBelowMark(c.holdConn())
	c.blocked = true
}

// awaitClients reports whether the packet that is being applied, which is for
// the clients of j, has to wait for room in their outboxes. If so, the turn must
// end, and the packet is applied again later.
func (c *conn) awaitClients(j *queue.Job) bool {
	for w := range j.Waiters {
		if client := w.Owner.(*conn); client.isCrowded() {
			client.whenRoom(c.holdConn())
			c.blocked = true
		}
	}
	for _, follower := range c.s.results.follows[j] {
		if follower.isCrowded() {
			follower.whenRoom(c.holdConn())
			c.blocked = true
		}
	}
	return c.blocked
}

// isCrowded reports whether the replies that wait for the connection are above the
// mark. The lock is held.
func (c *conn) isCrowded() bool {
	return c.Out.IsAboveMark() || c.isParkedCrowded()
}

// isParkedCrowded reports whether the replies behind later ones are above the mark. The
// lock is held.
func (c *conn) isParkedCrowded() bool {
	return c.parked.size > c.s.peers.Mark() && c.parked.hasWaiting()
}

// whenRoom calls f once when fewer replies wait for the connection, or it has
// ended, at once if that is so already. The lock is held.
func (c *conn) whenRoom(f func()) {
	if c.isParkedCrowded() && !c.IsDropped() {
		c.parked.whenSent(f)
		return
	}
	c.Out.WhenBelowMark(f)
}
