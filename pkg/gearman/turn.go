package gearman

import (
	"fmt"
	"sync/atomic"
	"time"
)

// longTurn is how long a slot may leave its connection unread before the link
// does it again.
const longTurn = 20 * time.Millisecond

// turn says who may read from a connection: the link or the slot. The link gives
// it to the slot with each job. A slot that asks for the next job when it has done
// one reads the answer itself, and so one job after the other, without a way
// through another goroutine. It gives the turn back when there is no job. If a
// handler takes its time the link takes it back by itself, for somebody has to see
// the end of the connection.
type turn struct {
	// whose is linksTurn, slotReads or, while it is the slot's turn and it does
	// not read, the number of the job with which it was given.
	whose atomic.Int64
	jobs  int64      // numbers; of who reads
	back  chan error // tells the link that it is its turn, or what has ended the slot's reading
}

const (
	linksTurn int64 = 0
	slotReads int64 = -1
)

func newTurn() turn { return turn{back: make(chan error, 1)} }

// lend makes it the slot's turn and returns the job's number. It is called by who
// reads.
func (t *turn) lend() int64 {
	t.jobs++
	t.whose.Store(t.jobs)
	return t.jobs
}

// take reports whether the slot may read after the job of that number. If so, it
// is to call lend or end.
func (t *turn) take(job int64) bool {
	return job > 0 && t.whose.CompareAndSwap(job, slotReads)
}

// end makes it the link's turn, after the slot has read. An error is the
// connection's end.
func (t *turn) end(err error) {
	t.whose.Store(linksTurn)
	t.back <- err
}

// giveUp makes it the link's turn unless the slot reads.
func (t *turn) giveUp() {
	if whose := t.whose.Load(); whose > 0 && t.whose.CompareAndSwap(whose, linksTurn) {
		t.back <- nil
	}
}

// awaitTurn waits until it is the link's turn again. Its error is one that the
// slot has met.
func (l *link) awaitTurn(c *workerConn) error {
	look := time.NewTicker(longTurn)
	defer look.Stop()
	whose, read, since := linksTurn, int64(0), time.Time{}
	for {
		select {
		case err := <-c.turn.back:
			return err
		case now := <-look.C:
			w, n := c.turn.whose.Load(), c.read.Load()
			switch {
			case w != whose || n != read:
				whose, read, since = w, n, now
			case w > 0 && c.turn.whose.CompareAndSwap(w, linksTurn):
				return nil
			case w == slotReads && now.Sub(since) >= replyTimeout:
				c.hangUp(errUnanswered)
			}
		}
	}
}

// errUnanswered is the end of a connection on which GRAB_JOB had no answer.
var errUnanswered = fmt.Errorf("GRAB_JOB was not answered within %v", replyTimeout)
