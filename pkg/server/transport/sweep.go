package transport

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"
)

// pressureIdle is the time for which a peer may make no progress while memory is
// short, or a quarter of Config.Patience if that is less.
const pressureIdle = 5 * time.Second

// A peer that seems to wait for the server has so many times Config.Patience, and so
// many sweeps.
const (
	latePatiences = 4
	lateSweeps    = 12
)

// errIdle drops a peer while memory is short.
var errIdle = errors.New("makes no progress while memory is short")

// errBegun drops a peer that has begun a request and sends no more of it.
var errBegun = errors.New("sends no more of a packet that it has begun")

// progress has the state, at the last sweep, of the connections that held bytes then.
type progress struct {
	mu   sync.Mutex
	seen map[*Conn]seen
}

// seen is the state of a connection at a sweep.
type seen struct {
	begun   int64
	written uint64
	idle    int // sweeps in a row without progress
}

// Sweep is one look at all connections of a server. The server calls Check for each of
// them, and then End. A sweep drops peers that have begun a request and send no more
// of it for Config.Patience, and while memory is short those that make no progress at
// all, the largest first, until there is room again. A peer that waits for the server
// stays for some more time: bytes from it have arrived that are not read, or it takes
// bytes that are not written, as on a machine with too few processors.
type Sweep struct {
	p     *Peers
	idle  []idler
	again bool
}

// idler is a connection that makes no progress, with the number of its bytes.
type idler struct {
	c      *Conn
	held   int
	sweeps int // in a row without progress
}

// BeginSweep begins a sweep. It is called by Config.Sweep.
func (p *Peers) BeginSweep() *Sweep {
	p.sweeping.Store(false)
	return &Sweep{p: p}
}

// Check looks at one connection. parked is the number of bytes that wait for the peer
// besides its outbox. If Check returns an error, the server must drop the connection
// with it.
func (w *Sweep) Check(c *Conn, parked int) error {
	begun := c.begun.Load()
	w.again = w.again || begun > 0
	held := c.Out.Size() + parked
	if begun > 0 {
		held += int(c.kept.Load())
	}
	switch sweeps := w.p.progress.noteIdle(c, begun, held); {
	case sweeps == 0:
	case begun > 0 && w.p.isLate(begun, 1) && (w.p.isLate(begun, latePatiences) || !c.Socket().IsReadable()):
		return errBegun
	case held > 0 && sweeps >= 2:
		w.idle = append(w.idle, idler{c, held, sweeps})
	}
	return nil
}

// noteIdle compares the progress of a connection that holds bytes with the last sweep.
// It returns for how many sweeps in a row there was none. A connection that waits for
// others is not idle.
func (g *progress) noteIdle(c *Conn, begun int64, held int) (sweeps int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if begun == 0 && held == 0 {
		delete(g.seen, c)
		return 0
	}
	written := c.Out.writtenBytes()
	last, known := g.seen[c]
	if !known || begun != last.begun || written != last.written || c.starved.Load() || c.Hold.isHeld() {
		last = seen{begun: begun, written: written, idle: -1}
	}
	last.idle++
	g.seen[c] = last
	return last.idle
}

// End ends the sweep after all connections were checked. The server's lock must not
// be held. Another sweep follows if there is still a reason.
func (w *Sweep) End() {
	if w.p.memory.isOver() {
		w.dropIdle()
		w.again = true
	}
	if w.again {
		w.p.wantSweep()
	}
}

// dropIdle drops the largest connections without progress until there is room, and
// the one for which others wait.
func (w *Sweep) dropIdle() {
	slices.SortFunc(w.idle, func(a, b idler) int { return cmp.Compare(b.held, a.held) })
	m := &w.p.memory
	excess := m.used.Load() - m.bound
	var drops []*Conn // chosen before the first one is dropped, which makes room
	for _, one := range w.idle {
		if (excess > 0 || m.isOnly(one.c)) && (one.sweeps > lateSweeps || !one.c.waitsForServer()) {
			drops = append(drops, one.c)
			excess -= int64(one.held)
		}
	}
	for _, c := range drops {
		c.handler.Drop(errIdle)
	}
}

// isLate reports whether no part of a request has arrived for some patiences since begun.
func (p *Peers) isLate(begun int64, patiences int) bool {
	return p.patience > 0 && p.now()-time.Duration(begun) >= p.patience*time.Duration(patiences)
}

// waitsForServer reports whether the peer has done its part, and the server has not
// read or written the bytes yet.
func (c *Conn) waitsForServer() bool {
	if c.Out.Size() > 0 {
		return c.Socket().IsWritable()
	}
	return c.begun.Load() > 0 && c.Socket().IsReadable()
}

// Forget ends the sweeps of a connection that is not swept any more.
func (p *Peers) Forget(c *Conn) {
	p.progress.mu.Lock()
	defer p.progress.mu.Unlock()
	delete(p.progress.seen, c)
}

// wantSweep makes a sweep begin soon, if none is due already.
func (p *Peers) wantSweep() {
	if p.sweeping.CompareAndSwap(false, true) {
		p.sweeper.Reset(p.sweepEvery())
	}
}

// sweepEvery returns the time between two sweeps.
func (p *Peers) sweepEvery() time.Duration {
	idle := pressureIdle
	if p.patience > 0 {
		idle = min(idle, p.patience/4)
	}
	return idle / 2
}
