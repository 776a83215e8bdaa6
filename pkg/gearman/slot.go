package gearman

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"gm/pkg/wire"
)

// replyTimeout is how long a server may take to answer GRAB_JOB, not counting
// the time in which a part of the answer arrives, before it counts as lost. The
// slot can ask no other server meanwhile.
const replyTimeout = 30 * time.Second

// longJob is how long a job takes after which Go's idle threads sleep, so that an
// answer had better be waited for without them.
const longJob = 200 * time.Microsecond

// slot does one job at a time, for all servers in turn.
type slot struct {
	worker   *Worker
	jobs     context.Context // what job contexts descend from
	stopping context.Context // done when no more jobs are to be taken
	isSpare  bool            // see lend
	links    []*link
	wake     chan struct{} // something has changed; holds one

	// Of the slot's goroutine.
	turn    int         // the link to look at first
	asked   *link       // the link that was asked with the last result, or nil
	askedOn *workerConn // and where
	long    bool        // the last job was one of at least longJob

	ending      ending  // what unconfirmed points to
	unconfirmed *ending // the last job's end; nil if the server has it for sure

	mu       sync.Mutex
	closed   bool                    // no more connections
	job      *Job                    // that runs
	cancel   context.CancelCauseFunc // ends its context
	stopIdle context.CancelFunc      // ends Idle; nil while it does not run
	spare    *spare                  // that the job has opened; nil if none
}

func newSlot(w *Worker, n int, jobs, stopping context.Context) *slot {
	s := &slot{worker: w, jobs: jobs, stopping: stopping, wake: make(chan struct{}, 1)}
	for _, server := range w.opts.Servers {
		s.links = append(s.links, newLink(s, server))
	}
	s.turn = n % len(s.links) // slots begin at different servers
	return s
}

// run does jobs until the worker stops.
func (s *slot) run() {
	var linked sync.WaitGroup
	for _, l := range s.links {
		linked.Go(l.run)
	}
	defer linked.Wait()
	defer s.goodbye()
	for {
		l, c := s.asked, s.askedOn
		if l == nil {
			if s.stopping.Err() != nil {
				return
			}
			s.awake()
			s.announce()
			s.resend()
			if l, c = s.next(); l == nil || !s.worker.take(s.isSpare) {
				s.sleep()
				continue
			}
			l.ask(c)
		}
		s.asked, s.askedOn = nil, nil
		if j := s.await(l, c); j != nil {
			s.ownEnding()
			s.do(l, c, j)
			s.rejoin()
		} else {
			s.worker.giveBack()
		}
	}
}

// awake forgets changes that are about to be looked at.
func (s *slot) awake() {
	select {
	case <-s.wake:
	default:
	}
}

// goodbye closes the connections that are there, all at once.
func (s *slot) goodbye() {
	s.mu.Lock()
	s.closed = true
	var conns []*workerConn
	for _, l := range s.links {
		if l.conn != nil {
			conns = append(conns, l.conn)
		}
	}
	s.mu.Unlock()
	var closing sync.WaitGroup
	for _, c := range conns {
		closing.Go(c.goodbye)
	}
	closing.Wait()
}

// announce tells the servers what has changed in the worker's functions.
func (s *slot) announce() {
	want, version := s.worker.abilities()
	for _, l := range s.links {
		s.mu.Lock()
		c, known := l.conn, l.known
		stale := c != nil && l.version != version
		if stale {
			l.known, l.version = want, version
			l.ready = true // there may be jobs of a new function
		}
		s.mu.Unlock()
		if stale {
			announce(c, "", known, want) // a failure ends the connection
		}
	}
}

// next returns the link to ask for a job, in turn, nil if none may have one.
func (s *slot) next() (*link, *workerConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.links {
		n := (s.turn + i) % len(s.links)
		if l := s.links[n]; l.conn != nil && l.ready {
			s.turn = (n + 1) % len(s.links)
			l.sleeping = false
			return l, l.conn
		}
	}
	return nil, nil
}

// sleep waits until there may be a job. Servers that have been asked are told.
func (s *slot) sleep() {
	s.mu.Lock()
	var tell []*workerConn
	for _, l := range s.links {
		if l.conn != nil && !l.ready && !l.sleeping {
			l.sleeping = true
			tell = append(tell, l.conn)
		}
	}
	s.mu.Unlock()
	for _, c := range tell {
		c.send(wire.PreSleep) // a failure ends the connection
	}
	if s.worker.opts.Empty != nil && s.hasNoJob() {
		s.worker.rest()
		defer s.worker.endRest()
	}
	if s.worker.opts.Idle != nil && len(s.wake) == 0 {
		s.runIdle()
	}
	select {
	case <-s.wake:
	case <-s.stopping.Done():
	}
}

// hasNoJob reports whether every server is connected, and has said that it has no
// job.
func (s *slot) hasNoJob() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		if l.conn == nil || l.ready || !l.sleeping {
			return false
		}
	}
	return true
}

// runIdle calls Idle with a context that ends with the slot's sleep.
func (s *slot) runIdle() {
	ctx, cancel := context.WithCancel(s.stopping)
	defer cancel()
	s.mu.Lock()
	s.stopIdle = cancel
	s.mu.Unlock()
	if len(s.wake) > 0 {
		cancel()
	}
	s.worker.opts.Idle(ctx)
	s.mu.Lock()
	s.stopIdle = nil
	s.mu.Unlock()
}

// await waits for the answer to GRAB_JOB; nil if there is no job.
func (s *slot) await(l *link, c *workerConn) *Job {
	if c.turn.take(c.job) {
		if j, ok := s.readAnswer(l, c); ok {
			return j
		}
	}
	t := time.NewTimer(replyTimeout)
	defer t.Stop()
	for {
		seen := c.read.Load()
		select {
		case r := <-c.replies:
			l.settle(c)
			s.confirm(c)
			c.job = r.turn
			return r.job
		case e := <-c.refusals:
			s.refused(l, c, e)
		case <-c.dead:
			if l.settled == nil && !l.knowsAll && c.read.Load() == 0 {
				l.stepDown() // some servers close on a packet that they do not know
			}
			return nil
		case <-t.C:
			if c.read.Load() == seen {
				c.hangUp(errUnanswered)
			}
		}
		t.Reset(replyTimeout)
	}
}

// readAnswer waits for the answer to GRAB_JOB when it is the slot's turn to read.
// ok is false if the connection is at its end: its link sees to that.
func (s *slot) readAnswer(l *link, c *workerConn) (j *Job, ok bool) {
	c.prompt = s.long
	for {
		err := c.next(&c.packet)
		switch {
		case err == nil:
			err = l.handle(c, &c.packet)
		case errors.Is(err, wire.ErrTooLarge):
			err = l.skipJob(c, err)
		}
		if err != nil {
			c.turn.end(err)
			return nil, false
		}
		select {
		case r := <-c.replies:
			l.settle(c)
			s.confirm(c)
			if c.job = r.turn; r.job == nil {
				c.turn.end(nil)
			}
			return r.job, true
		case e := <-c.refusals:
			s.refused(l, c, e)
		default:
		}
	}
}

// refused deals with an ERROR that may answer GRAB_JOB.
func (s *slot) refused(l *link, c *workerConn, e *ServerError) {
	switch {
	case e.ShuttingDown():
		c.hangUp(errShutDown)
	case l.settled == c: // it is about something else
	case l.stepDown():
		c.send(l.grab)
	default:
		c.hangUp(fmt.Errorf("%v: %w", wire.GrabJob, e))
	}
}

// do runs a job and sends its end. If the same link is next, it is asked for
// the next job in the same write.
func (s *slot) do(l *link, c *workerConn, j *Job) {
	f := s.worker.function(j.function)
	if f == nil {
		c.hangUp(c.protocolError("job %s of %.80q, which the worker cannot do", j.handle, j.function))
		<-c.dead
		s.worker.giveBack()
		return
	}
	began := time.Now()
	data, err := s.call(l, f, j)
	s.long = time.Since(began) >= longJob
	if errors.Is(err, ErrRetry) {
		s.worker.log().Debug("job given back", "handle", string(j.handle), "function", j.function, "error", err)
		s.worker.count()
		s.handBack(l, c, j)
		return
	}
	s.mu.Lock()
	l.retries.reset()
	s.mu.Unlock()
	if n, limit := len(data), s.worker.opts.MaxPayload; err == nil && n > limit {
		err = &resultSizeError{n, limit}
		s.worker.log().Warn("job failed", "handle", string(j.handle), "function", j.function, "reason", err)
	}
	s.worker.count()
	s.keepEnding(l, c, j, data, err)
	if sent := s.finish(c, j, data, err); sent != nil {
		s.worker.log().Warn("result not sent", "handle", string(j.handle), "function", j.function, "error", sent)
	}
}

// finish sends the end of a job.
func (s *slot) finish(c *workerConn, j *Job, data []byte, err error) error {
	if err != nil {
		s.worker.log().Debug("job failed", "handle", string(j.handle), "function", j.function, "error", err)
	}
	return c.write(func(put putFunc) error {
		j.ended = true
		s.putEnding(put, []byte(j.handle), data, err)
		s.askAlong(c, put)
		return nil
	})
}

// resultSizeError is the end of a job whose result is over the limit. Its client
// gets it as a warning.
type resultSizeError struct{ size, limit int }

func (e *resultSizeError) Error() string {
	return fmt.Sprintf("the result of %d bytes is over the limit of %d bytes", e.size, e.limit)
}

func (e *resultSizeError) Unwrap() error { return ErrTooLarge }

// askAlong adds GRAB_JOB to a write on c if that is where to ask next.
func (s *slot) askAlong(c *workerConn, put putFunc) {
	if s.hasSpare() {
		return
	}
	_, version := s.worker.abilities()
	turn := s.turn
	l, next := s.next()
	if next != c || l.version != version || s.stopping.Err() != nil || !s.worker.take(s.isSpare) {
		s.turn = turn
		return
	}
	l.begin(c)
	s.asked, s.askedOn = l, c
	put(l.grab)
}

// call runs the handler.
func (s *slot) call(l *link, f *function, j *Job) (data []byte, err error) {
	ctx, cancel := context.WithCancelCause(s.jobs)
	defer cancel(nil)
	s.mu.Lock()
	s.job, s.cancel = j, cancel
	j.slot = s
	if l.conn != j.conn {
		cancel(lost(j.conn.server, j.conn.err))
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.job, s.cancel = nil, nil
		if s.spare != nil {
			s.spare.end()
		}
		s.mu.Unlock()
		if p := recover(); p != nil {
			s.worker.log().Error("handler panicked", "handle", string(j.handle), "function", j.function,
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			data, err = nil, &Exception{Data: fmt.Append(nil, p)}
		}
	}()
	if f.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, f.timeout, ErrTimeout)
		defer stop()
	}
	return f.handler(ctx, j)
}

// handBack closes the job's connection, so that the server queues it again.
func (s *slot) handBack(l *link, c *workerConn, j *Job) {
	c.writing.Lock()
	j.ended = true
	c.writing.Unlock()
	s.mu.Lock()
	l.again = true
	s.mu.Unlock()
	c.goodbye()
}

// The rest is called by the links.

// poke makes the slot look at what has changed.
func (s *slot) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopIdle != nil {
		s.stopIdle()
	}
}

// linked notes a new connection; false if there are to be no more.
func (s *slot) linked(l *link, c *workerConn, known []ability, version int) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	l.conn, l.ready, l.sleeping = c, true, false
	l.known, l.version = known, version
	s.mu.Unlock()
	s.poke()
	return true
}

// unlinked notes the end of a connection and of the job that came over it. It
// returns how long to wait before the next if the job was given back.
func (s *slot) unlinked(l *link, c *workerConn) time.Duration {
	if s.worker.opts.Empty != nil {
		defer s.poke() // nobody knows any more that the server has no job
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.conn, l.ready, l.sleeping, l.known = nil, false, false, nil
	if s.job != nil && s.job.conn == c {
		s.cancel(lost(c.server, c.err))
	}
	if l.again {
		l.again = false
		return l.retries.next()
	}
	return 0
}

// jobCancelled ends the context of a job that was cancelled while it runs.
func (s *slot) jobCancelled(c *workerConn, h Handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job != nil && s.job.conn == c && s.job.handle == h {
		s.cancel(ErrCancelled)
	}
}

// woken notes a NOOP.
func (s *slot) woken(l *link) {
	s.mu.Lock()
	l.ready, l.sleeping = true, false
	s.mu.Unlock()
	s.poke()
}

// empty notes a NO_JOB.
func (s *slot) empty(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.ready = false
}
