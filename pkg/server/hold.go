package server

import (
	"sync"

	"gm/pkg/queue"
)

// hold keeps a connection from being read and applied until all the events
// that it waits for have come. Events may come from any goroutine, also while
// the turn that begins the hold goes on.
type hold struct {
	resume func() // has the connection go on; called with mu held

	mu   sync.Mutex
	gen  uint64 // of the present hold; events of earlier ones count no more
	n    int32  // events to come
	held bool   // the connection does not go on by itself
}

// expect adds an event and returns the function that tells that it has come.
// It is called in a turn of the connection.
func (h *hold) expect() (come func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	gen := h.gen
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.gen != gen || h.n == 0 {
			return
		}
		if h.n--; h.n == 0 && h.held {
			h.end()
		}
	}
}

// begin ends the turn: it reports whether there are events to wait for. If so
// resume will be called.
func (h *hold) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = h.n > 0
	return h.held
}

// isHeld reports whether the connection waits for events.
func (h *hold) isHeld() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// cancel has the connection go on, whatever it waits for.
func (h *hold) cancel() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n = 0
	if h.held {
		h.end()
	} else {
		h.gen++
	}
}

// end ends the hold. mu is held.
func (h *hold) end() {
	h.held = false
	h.gen++
	h.resume()
}

// Back-pressure. A worker's packet is applied when all the clients of its job
// have room for it; until then the worker is not read. So a client that reads
// slowly gets all of a streamed result, and nothing is kept for it beyond the
// mark of its outbox and one packet. Likewise a connection is not read while
// the answers to what it asks for wait for itself. A peer that takes nothing
// for Config.PeerTimeout while it has so much to read is dropped, which frees
// those that wait for it.
//
// All of a worker's jobs wait while one of their clients is slow. A peer that
// is client and worker, and writes without reading what it is owed, waits for
// itself until it is dropped.

// expect has the connection, whose turn it is, held until the returned function
// is called.
func (c *conn) expect() (come func()) {
	c.expects = true
	return c.hold.expect()
}

// awaitClients reports whether the packet that is being applied, which is for
// the clients of j, has to wait for room in their outboxes. If so the turn is
// to end, and the packet is applied again later.
func (c *conn) awaitClients(j *queue.Job) bool {
	for w := range j.Waiters {
		if client := w.Owner.(*conn); client.crowded() {
			client.whenRoom(c.expect())
			c.blocked = true
		}
	}
	for _, follower := range c.s.results.follows[j] {
		if follower.crowded() {
			follower.whenRoom(c.expect())
			c.blocked = true
		}
	}
	return c.blocked
}

// crowded reports whether too much waits for the connection to add more. The
// lock is held.
func (c *conn) crowded() bool {
	return c.out.over.Load() || c.parked.size > c.out.limits.mark && c.parked.waiting()
}

// whenRoom calls f once when what waits for the connection has become less, or
// it has ended: at once, if that is so already. The lock is held.
func (c *conn) whenRoom(f func()) {
	if c.parked.size > c.out.limits.mark && c.parked.waiting() && !c.doomed.Load() {
		c.parked.whenSent(f)
		return
	}
	c.out.whenBelow(f)
}
