package transport

import (
	"sync/atomic"
	"time"
)

const (
	// defaultMark is the size of an outbox above which senders wait, in bytes.
	defaultMark = 4 << 20
	// leastMark is that size at least, where the memory for all connections is little.
	leastMark = 256 << 10
)

// Config has the limits for the connections of a server.
type Config struct {
	Outbox   int           // bytes of an outbox above which the server drops its peer
	Memory   int64         // bytes that all connections hold together, 0 is no limit
	Patience time.Duration // for a peer that takes no bytes of an outbox above its mark; 0 is no limit
	Sweep    func()        // calls BeginSweep and sweeps all connections; called in a goroutine of its own
}

// Peers is the part that all connections of a server share: the limits, the sum of
// the memory that they hold, and the sweeps.
type Peers struct {
	limit    int           // bytes of an outbox; a peer whose outbox has more is dropped
	mark     int           // bytes of an outbox above which senders wait
	patience time.Duration // for a peer that takes no bytes while its outbox is above mark; 0 is no limit
	start    time.Time     // of now

	memory   memory
	progress progress
	sweeper  *time.Timer // calls Config.Sweep
	sweeping atomic.Bool // sweeper runs
}

// NewPeers returns the shared part of a server's connections.
func NewPeers(cfg Config) *Peers {
	mark := min(defaultMark, cfg.Outbox/2)
	if cfg.Memory > 0 {
		mark = int(min(int64(mark), max(cfg.Memory/16, leastMark)))
	}
	p := &Peers{limit: cfg.Outbox, mark: mark, patience: cfg.Patience, start: time.Now()}
	p.memory.bound = cfg.Memory
	p.progress.seen = make(map[*Conn]seen)
	p.sweeper = time.AfterFunc(time.Hour, cfg.Sweep)
	p.sweeper.Stop()
	return p
}

// Limit returns the bytes of an outbox above which the server drops its peer.
func (p *Peers) Limit() int { return p.limit }

// Mark returns the bytes of an outbox above which the senders of more wait.
func (p *Peers) Mark() int { return p.mark }

// now returns the time since some moment before the first connection. It is never 0.
func (p *Peers) now() time.Duration { return max(time.Since(p.start), 1) }

// Close lets all connections be read, because they end, and ends the sweeps.
func (p *Peers) Close() {
	m := &p.memory
	m.mu.Lock()
	m.closed = true
	m.resumeWaiting()
	m.mu.Unlock()
	p.sweeper.Stop()
}
