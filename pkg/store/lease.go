package store

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Lease renews an expiring lock of a store until Stop, and detects that another
// server has taken the store. Its methods may be called by several goroutines.
type Lease struct {
	name   string
	log    *slog.Logger
	length time.Duration
	most   time.Duration // of one renewal

	lost chan struct{} // closed by Pass

	mu     sync.Mutex
	passed bool
	stop   context.CancelFunc // nil before Start
	keeper sync.WaitGroup
}

// NewLease returns a Lease for a lock that expires after length without a renewal.
// A renewal may take half of that, or most if that is less. Name is the store's in
// the log.
func NewLease(name string, log *slog.Logger, length, most time.Duration) *Lease {
	return &Lease{name: name, log: log, length: length, most: min(length/2, most), lost: make(chan struct{})}
}

// Start calls renew four times in the length of the lease, unless the store has
// passed to another server. Stop ends that; then free is called. It is called once.
func (l *Lease) Start(renew func(ctx context.Context), free func()) {
	ctx, stop := context.WithCancel(context.Background())
	l.mu.Lock()
	l.stop = stop
	l.mu.Unlock()
	l.keeper.Go(func() {
		l.keep(ctx, renew)
		free()
	})
}

// keep renews the lock until ctx ends.
func (l *Lease) keep(ctx context.Context, renew func(ctx context.Context)) {
	tick := time.NewTicker(l.length / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.HasPassed() {
			continue
		}
		attempt, cancel := context.WithTimeout(ctx, l.most)
		renew(attempt)
		cancel()
	}
}

// Stop ends the goroutine of Start, and returns when free has returned.
func (l *Lease) Stop() {
	l.mu.Lock()
	stop := l.stop
	l.mu.Unlock()
	if stop != nil {
		stop()
		l.keeper.Wait()
	}
}

// Pass notes and logs that another server, of which by is known, has the store.
func (l *Lease) Pass(by string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.passed {
		l.passed = true
		l.log.Error(l.name+" store is lost to another server", "by", by)
		close(l.lost)
	}
}

// HasPassed reports whether another server has the store.
func (l *Lease) HasPassed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passed
}

// Lost is closed when another server has the store.
func (l *Lease) Lost() <-chan struct{} { return l.lost }
