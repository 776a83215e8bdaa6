package transport

import "sync"

// Hold stops the reading of a connection until all events that it waits for have
// come. Events may come from any goroutine, also during the turn that begins the hold.
type Hold struct {
	resume func() // makes the reading go on; called with mu held

	mu   sync.Mutex
	gen  uint64 // number of the present hold; events of earlier ones are ignored
	n    int32  // events to come
	held bool   // the connection waits for resume
}

// Expect adds an event and returns the function that reports that it has come. It is
// called in a turn of the connection.
func (h *Hold) Expect() (come func()) {
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
			h.endHold()
		}
	}
}

// Begin ends the turn: it reports whether there are events to wait for. If so, the
// reading goes on when they have come.
func (h *Hold) Begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = h.n > 0
	return h.held
}

// isHeld reports whether the connection waits for events.
func (h *Hold) isHeld() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// Cancel makes the reading go on without the events.
func (h *Hold) Cancel() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n = 0
	if h.held {
		h.endHold()
	} else {
		h.gen++
	}
}

// endHold ends the hold. mu is held.
func (h *Hold) endHold() {
	h.held = false
	h.gen++
	h.resume()
}
