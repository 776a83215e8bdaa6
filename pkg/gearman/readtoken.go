package gearman

import (
	"fmt"
	"sync/atomic"
	"time"
)

// maxUnread is how long a slot may leave its connection unread before the link
// reads it again.
const maxUnread = 20 * time.Millisecond

// readToken is the right to read from a connection, which either the link or
// the slot has. The link gives it to the slot with each job. A slot that asks
// for its next job reads the answer itself, so that one job follows the other
// without a switch to another goroutine. It returns the token when there is no
// job. If a handler takes long, the link revokes the token, because the end of
// the connection must be noticed.
type readToken struct {
	// holder is heldByLink, slotReads or, while the slot has the token and does
	// not read, the number of the job with which it got it.
	holder atomic.Int64
	jobs   int64      // number of the last job; owned by the reader
	back   chan error // tells the link that it has the token again, with the error of the slot's reading
}

const (
	heldByLink int64 = 0
	slotReads  int64 = -1
)

func newReadToken() readToken { return readToken{back: make(chan error, 1)} }

// giveToSlot gives the token to the slot and returns the job's number. The reader
// calls it.
func (t *readToken) giveToSlot() int64 {
	t.jobs++
	t.holder.Store(t.jobs)
	return t.jobs
}

// claim reports whether the slot may read after the job of that number. If so,
// it must call giveToSlot or returnToLink.
func (t *readToken) claim(job int64) bool {
	return job > 0 && t.holder.CompareAndSwap(job, slotReads)
}

// returnToLink returns the token after the slot has read. An error is the end
// of the connection.
func (t *readToken) returnToLink(err error) {
	t.holder.Store(heldByLink)
	t.back <- err
}

// revoke returns the token to the link unless the slot reads.
func (t *readToken) revoke() {
	if holder := t.holder.Load(); holder > 0 && t.holder.CompareAndSwap(holder, heldByLink) {
		t.back <- nil
	}
}

// awaitToken waits until the link has the token again. Its error is one of the
// slot's reading.
func (l *link) awaitToken(c *workerConn) error {
	check := time.NewTicker(maxUnread)
	defer check.Stop()
	holder, read, since := heldByLink, int64(0), time.Time{}
	for {
		select {
		case err := <-c.token.back:
			return err
		case now := <-check.C:
			h, n := c.token.holder.Load(), c.read.Load()
			switch {
			case h != holder || n != read:
				holder, read, since = h, n, now
			case h > 0 && c.token.holder.CompareAndSwap(h, heldByLink):
				return nil
			case h == slotReads && now.Sub(since) >= replyTimeout:
				c.hangUp(errUnanswered)
			}
		}
	}
}

// errUnanswered is the end of a connection on which GRAB_JOB had no answer.
var errUnanswered = fmt.Errorf("GRAB_JOB was not answered within %v", replyTimeout)
