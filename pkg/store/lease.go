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
	limit  time.Duration // maximum duration of a renewal

	lost chan struct{} // closed by Pass

	mu      sync.Mutex
	passed  bool
	stop    context.CancelFunc // nil before Start
	renewer sync.WaitGroup
}

// NewLease returns a Lease for a lock that expires after length without a renewal.
// A renewal may take at most limit, and at most half of length. name is the name of
// the store in the log.
func NewLease(name string, log *slog.Logger, length, limit time.Duration) *Lease {
	return &Lease{name: name, log: log, length: length, limit: min(length/2, limit), lost: make(chan struct{})}
}

// Start starts a goroutine that calls renew four times in the length of the lease,
// until Stop, unless another server has the store. After Stop it calls free. Start is
// called at most once.
func (l *Lease) Start(renew func(ctx context.Context), free func()) {
	ctx, stop := context.WithCancel(context.Background())
	l.mu.Lock()
	l.stop = stop
	l.mu.Unlock()
	l.renewer.Go(func() {
		l.renewUntil(ctx, renew)
		free()
	})
}

// renewUntil renews the lock until ctx ends.
func (l *Lease) renewUntil(ctx context.Context, renew func(ctx context.Context)) {
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
		attempt, cancel := context.WithTimeout(ctx, l.limit)
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
		l.renewer.Wait()
	}
}

// Pass records and logs that another server has the store. by describes that server.
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
