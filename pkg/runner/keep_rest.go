//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"errors"
	"os"
	"runtime"
	"time"
)

const (
	// quickLooks is how often to look at once, as it is a matter of microseconds.
	quickLooks = 3

	// The time between two looks whether a child is at rest, doubled each time.
	firstRestLook = 20 * time.Microsecond
	maxRestLook   = time.Millisecond

	// How long after a child's first answer there may be more of it, if it can't be
	// seen that there won't: as it is at first, and at most, be it as children have
	// written what nobody had asked for, or as the child is seen to do something. The
	// latter is also how long one may take that was seen at rest before.
	firstSettle = 10 * time.Millisecond
	maxSettle   = time.Second

	// maxUnsure is how often a child that was never seen at rest is looked at.
	maxUnsure = 8
)

// posture is what a process does.
type posture int

const (
	unclear posture = iota // it may wait for input, or for anything else
	busy                   // it runs, or waits for something that is not input
	atRest                 // it waits for input
)

// watch is how to find out whether a child is at rest.
type watch int

const (
	watchNone   watch = iota // there is no telling
	watchUnsure              // that is to be seen
	watchOne                 // by the child itself
	watchTree                // by all of its descendants
)

// rest waits until the child is seen to wait for its next payload, if that can be
// seen at all. Its error is errUnasked if there is output, io.EOF if there can be
// no more.
func (c *kept) rest() error {
	var began, busyAt time.Time
	looks := 0
	for pause := firstRestLook; ; {
		doing := c.posture()
		switch pending, err := c.poll(); { // what was written before it came to rest
		case err != nil:
			return err
		case pending:
			return errUnasked
		case doing == atRest:
			return nil
		case c.interrupted.Load():
			return nil
		}
		if looks++; looks <= quickLooks && c.watch >= watchOne {
			runtime.Gosched()
			continue
		}
		now := time.Now()
		if began.IsZero() {
			began, busyAt = now, now
		}
		if doing == busy {
			busyAt = now
		}
		patience := c.patience(now.Sub(began), now.Sub(busyAt))
		if patience <= 0 {
			c.doubt()
			return nil
		}
		c.arm(now.Add(min(pause, patience)))
		switch err := c.fill(); {
		case err == nil:
			return errUnasked
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		pause = min(2*pause, maxRestLook)
	}
}

// posture tells what the child does.
func (c *kept) posture() posture {
	switch c.watch {
	case watchOne:
		if c.state.readsInput() {
			return atRest
		}
		return busy
	case watchTree:
		return c.state.tree()
	case watchUnsure:
		if c.state.readsInput() && c.state.alone() {
			c.watch = watchOne
			return atRest
		}
		doing := c.state.tree()
		if doing == atRest {
			c.watch = watchTree
		}
		return doing
	}
	return unclear
}

// patience is how much longer to wait for a child to come to rest, after so much
// time and so much since it was seen to be busy. One that was seen at rest before
// can take no payload until it is, so nothing is lost by waiting.
func (c *kept) patience(waited, quiet time.Duration) time.Duration {
	settle := c.keeper.settling()
	switch {
	case c.watch >= watchOne:
		return maxSettle - waited
	case c.answered > 0:
		return 0
	}
	return min(settle-quiet, maxSettle-waited)
}

// doubt notes that the child was not seen at rest in time.
func (c *kept) doubt() {
	c.unsure++
	if c.watch >= watchOne || c.unsure > maxUnsure {
		c.watch = watchNone
	}
}
