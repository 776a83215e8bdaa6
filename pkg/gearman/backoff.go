package gearman

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff computes the wait after a failure; see Options.MinBackoff.
type backoff struct {
	min, max time.Duration
	failures int // in a row
}

func newBackoff(o *Options) backoff { return backoff{min: o.MinBackoff, max: o.MaxBackoff} }

// nextWait counts a failure and returns the wait after it: at least min, at most
// max.
func (b *backoff) nextWait() time.Duration {
	top := b.min
	for range b.failures + 1 {
		if top = 2 * top; top >= b.max || top <= 0 {
			top = b.max
			break
		}
	}
	b.failures++
	low := max(b.min, top/2)
	return low + rand.N(top-low+1)
}

func (b *backoff) reset() { b.failures = 0 }

// pause waits for d. It returns early, with the cause, when ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
