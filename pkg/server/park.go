package server

import (
	"gm/pkg/queue"
	"gm/pkg/wire"
)

// A connection whose submissions wait for the store is read on, until this
// much waits. Then it is read no further until all of it is answered.
const (
	maxParked      = 4096    // submissions
	maxParkedBytes = 1 << 20 // of replies behind them
	keepParked     = 256     // what the list keeps room for when it is empty
)

// parkedReplies are a connection's submissions that wait for their batch, with
// what it is owed behind each of them, so that replies keep the order of the
// requests. Server.mu guards them.
type parkedReplies struct {
	list     []parked
	answered int           // how many of list have been answered
	size     int           // of all bytes in list
	settled  chan struct{} // closed when all is answered; nil if nobody waits for that
}

// parked is one submission. One that joins a job which is already on its way
// to the store is answered with the batch after the job's, for the order's
// sake; batch says which one decides.
type parked struct {
	job   *queue.Job
	batch uint32
	bytes []byte // what stands behind its answer
}

// waiting reports whether a submission waits.
func (p *parkedReplies) waiting() bool { return p.answered < len(p.list) }

// crowded reports whether so much waits that reading on has to wait too.
func (p *parkedReplies) crowded() bool {
	return p.waiting() && (len(p.list) >= maxParked || p.size >= maxParkedBytes)
}

func (p *parkedReplies) add(j *queue.Job, batch uint32) {
	p.list = append(p.list, parked{job: j, batch: batch})
}

// last returns the submission behind which a reply has to stand.
func (p *parkedReplies) last() *parked { return &p.list[len(p.list)-1] }

// first returns the submission to answer next.
func (p *parkedReplies) first() *parked { return &p.list[p.answered] }

// take takes the submission to answer next.
func (p *parkedReplies) take() parked {
	one := p.list[p.answered]
	p.list[p.answered] = parked{}
	p.answered++
	p.size -= len(one.bytes)
	if !p.waiting() {
		p.answered = 0
		if p.list = p.list[:0]; cap(p.list) > keepParked {
			p.list = nil
		}
	}
	return one
}

// wake ends the wait in awaitParked.
func (p *parkedReplies) wake() {
	if p.settled != nil {
		close(p.settled)
		p.settled = nil
	}
}

// park puts a packet behind the last submission that waits. The lock is held.
func (c *conn) park(t wire.Type, args [][]byte) {
	p := c.parked.last()
	before := len(p.bytes)
	p.bytes = wire.Append(p.bytes, wire.Response, t, args...)
	c.parkedGrew(len(p.bytes) - before)
}

// parkBytes is park for bytes that are put together already.
func (c *conn) parkBytes(b []byte) {
	p := c.parked.last()
	p.bytes = append(p.bytes, b...)
	c.parkedGrew(len(b))
}

// parkedGrew counts n bytes. Its own requests can't bring a connection over
// the limit, as it is not read when it is crowded; results can.
func (c *conn) parkedGrew(n int) {
	c.parked.size += n
	if c.parked.size > c.out.limit {
		c.overflow()
	}
}

// answerParked answers the submission that waits longest and lets out what
// stands behind it. The lock is held.
func (c *conn) answerParked(err error) {
	p := c.parked.take()
	var buf [wire.MaxHandle]byte
	if err == nil {
		c.owe(wire.JobCreated, p.job.AppendHandle(buf[:0]))
	} else {
		c.owe(wire.Error, []byte(wire.CodeQueueError), []byte(err.Error()))
	}
	if len(p.bytes) > 0 {
		c.oweBytes(p.bytes)
	}
	if !c.parked.waiting() {
		c.parked.wake() // not before the last answer is in the outbox
	}
}

// awaitParked waits until the batches that the connection's submissions are in
// have been committed or refused, or the connection is dropped.
func (c *conn) awaitParked() {
	c.s.mu.Lock()
	if !c.parked.waiting() || c.doomed.Load() {
		c.s.mu.Unlock()
		return
	}
	if c.parked.settled == nil {
		c.parked.settled = make(chan struct{})
	}
	settled := c.parked.settled
	c.s.mu.Unlock()
	<-settled // the committer answers everything, also when it ends
}
