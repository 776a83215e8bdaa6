package server

import (
	"sync"

	"gm/pkg/queue"
)

// hold stops the reading of a connection until all events that it waits for have
// come. Events may come from any goroutine, also during the turn that begins the
// hold.
type hold struct {
	resume func() // makes the connection go on; called with mu held

	mu   sync.Mutex
	gen  uint64 // of the present hold; events of earlier ones are ignored
	n    int32  // events to come
	held bool   // the connection waits for resume
}

// expect adds an event and returns the function that reports that it has come.
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

// cancel makes the connection go on, without the events that it waits for.
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
// slowly gets all of a streamed result, and the server keeps no more for it than
// the mark of its outbox and one packet. Likewise a connection is not read while
// its own outbox has no room for the answers. A peer that takes no bytes for
// Config.PeerTimeout while its outbox is above the mark is dropped, which frees
// the connections that wait for it.
//
// All of a worker's jobs wait while one of their clients is slow. A peer that
// is client and worker, and writes without reading, waits for itself until it is
// dropped.

// expect has the connection, whose turn it is, held until the returned function
// is called.
func (c *conn) expect() (come func()) {
	c.expects = true
	return c.hold.expect()
}

// awaitClients reports whether the packet that is being applied, which is for
// the clients of j, has to wait for room in their outboxes. If so, the turn must
// end, and the packet is applied again later.
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

// crowded reports whether the replies that wait for the connection are above the
// mark. The lock is held.
func (c *conn) crowded() bool {
	return c.out.over.Load() || c.parked.size > c.out.limits.mark && c.parked.waiting()
}

// whenRoom calls f once when fewer replies wait for the connection, or it has
// ended, at once if that is so already. The lock is held.
func (c *conn) whenRoom(f func()) {
	if c.parked.size > c.out.limits.mark && c.parked.waiting() && !c.doomed.Load() {
		c.parked.whenSent(f)
		return
	}
	c.out.whenBelow(f)
}
