//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"errors"
	"os"
	"runtime"
	"time"
)

const (
	// quickLooks is the number of checks without a pause, because a child comes to rest
	// within microseconds.
	quickLooks = 3

	// The time between two checks that a child is at rest, doubled each time.
	firstRestLook = 20 * time.Microsecond
	maxRestLook   = time.Millisecond

	// The wait for further output after a child's first answer, if the Keeper cannot
	// see that the child is at rest: at first, and at most, after output without a job
	// or while the child is busy. maxQuiet is also the wait for a child that was seen at
	// rest before.
	firstQuiet = 10 * time.Millisecond
	maxQuiet   = time.Second

	// maxUnsure is the number of checks of a child that was never seen at rest.
	maxUnsure = 8
)

// posture is the present activity of a process.
type posture int

const (
	unclear posture = iota // it may wait for input or for something else
	busy                   // it runs, or waits for something else than input
	atRest                 // it waits for input
)

// watch is the way to see that a child is at rest.
type watch int

const (
	watchNone   watch = iota // it cannot be seen
	watchUnsure              // not known yet
	watchOne                 // by the state of the child
	watchTree                // by the states of the child and its descendants
)

// rest waits until the child waits for its next payload, if the Keeper can see that.
// The error is errUnasked if there is output, io.EOF if the child has ended.
func (c *kept) rest() error {
	var began, busyAt time.Time
	looks := 0
	for pause := firstRestLook; ; {
		doing := c.posture()
		switch pending, err := c.poll(); { // output from before it came to rest
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

// posture returns the present activity of the child.
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

// patience returns the remaining wait for a child to come to rest, after the time
// waited, and the time quiet since it was last busy. A child that was seen at rest before
// gets its payload only at rest, so that the wait costs nothing.
func (c *kept) patience(waited, quiet time.Duration) time.Duration {
	quietTime := c.keeper.quiet()
	switch {
	case c.watch >= watchOne:
		return maxQuiet - waited
	case c.answered > 0:
		return 0
	}
	return min(quietTime-quiet, maxQuiet-waited)
}

// doubt records that the child was not seen at rest in time.
func (c *kept) doubt() {
	c.unsure++
	if c.watch >= watchOne || c.unsure > maxUnsure {
		c.watch = watchNone
	}
}
