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

// replyTimeout is the maximum time without a byte of the answer to GRAB_JOB, after
// which a server counts as lost. Meanwhile the slot can ask no other server.
const replyTimeout = 30 * time.Second

// longJob is the duration of a job after which Go's idle threads sleep. To wake one
// for the next answer costs more than to wait in a system call; see quickWait.
const longJob = 200 * time.Microsecond

// slot does one job at a time, for all servers in turn.
type slot struct {
	worker   *Worker
	jobs     context.Context // parent of the contexts of jobs
	stopping context.Context // done when the slot accepts no more jobs
	isExtra  bool            // see extraSlot
	links    []*link
	wake     chan struct{} // signals a change; holds one

	// Owned by the slot's goroutine.
	firstLink int         // index of the link that is asked first
	asked     *link       // the link that got GRAB_JOB with the last result, or nil
	askedOn   *workerConn // the connection of that GRAB_JOB
	long      bool        // the last job took at least longJob

	ending      ending  // the memory of unconfirmed
	unconfirmed *ending // the end of the last job; nil if the server has confirmed it

	mu       sync.Mutex
	closed   bool                    // no more connections
	job      *Job                    // the running job
	cancel   context.CancelCauseFunc // ends its context
	stopIdle context.CancelFunc      // ends Idle; nil while it does not run
	extra    *extraSlot              // opened by Job.Lend; nil if there is none
}

func newSlot(w *Worker, n int, jobs, stopping context.Context) *slot {
	s := &slot{worker: w, jobs: jobs, stopping: stopping, wake: make(chan struct{}, 1)}
	for _, server := range w.opts.Servers {
		s.links = append(s.links, newLink(s, server))
	}
	s.firstLink = n % len(s.links) // slots begin at different servers
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
			if l, c = s.nextReadyLink(); l == nil || !s.worker.reserveJob(s.isExtra) {
				s.sleep()
				continue
			}
			l.grabJob(c)
		}
		s.asked, s.askedOn = nil, nil
		if j := s.await(l, c); j != nil {
			s.ownEnding()
			s.do(l, c, j)
			s.awaitExtraSlot()
		} else {
			s.worker.releaseJob()
		}
	}
}

// awake clears the signal before the slot examines the changes.
func (s *slot) awake() {
	select {
	case <-s.wake:
	default:
	}
}

// goodbye closes all connections in parallel.
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

// announce sends the servers the changes of the worker's functions.
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

// nextReadyLink returns the next link whose server may have a job, nil if there is
// none.
func (s *slot) nextReadyLink() (*link, *workerConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.links {
		n := (s.firstLink + i) % len(s.links)
		if l := s.links[n]; l.conn != nil && l.ready {
			s.firstLink = (n + 1) % len(s.links)
			l.sleeping = false
			return l, l.conn
		}
	}
	return nil, nil
}

// sleep waits until a server may have a job. It first sends PRE_SLEEP to the servers
// that had none.
func (s *slot) sleep() {
	s.mu.Lock()
	var unaware []*workerConn
	for _, l := range s.links {
		if l.conn != nil && !l.ready && !l.sleeping {
			l.sleeping = true
			unaware = append(unaware, l.conn)
		}
	}
	s.mu.Unlock()
	for _, c := range unaware {
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

// hasNoJob reports whether every server is connected and has answered that it has no
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

// await waits for the answer to GRAB_JOB. It returns nil if there is no job.
func (s *slot) await(l *link, c *workerConn) *Job {
	if c.token.claim(c.job) {
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
			l.noteGrabKnown(c)
			s.confirm(c)
			c.job = r.number
			return r.job
		case e := <-c.refusals:
			s.refused(l, c, e)
		case <-c.dead:
			if l.grabKnown == nil && !l.knowsAll && c.read.Load() == 0 {
				l.stepDown() // some servers close the connection after an unknown packet
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

// readAnswer reads the answer to GRAB_JOB while the slot has the read token. ok is
// false if the connection has ended, which its link handles.
func (s *slot) readAnswer(l *link, c *workerConn) (j *Job, ok bool) {
	c.prompt = s.long
	for {
		err := c.nextPacket(&c.packet)
		switch {
		case err == nil:
			err = l.handle(c, &c.packet)
		case errors.Is(err, wire.ErrTooLarge):
			err = l.skipJob(c, err)
		}
		if err != nil {
			c.token.returnToLink(err)
			return nil, false
		}
		select {
		case r := <-c.replies:
			l.noteGrabKnown(c)
			s.confirm(c)
			if c.job = r.number; r.job == nil {
				c.token.returnToLink(nil)
			}
			return r.job, true
		case e := <-c.refusals:
			s.refused(l, c, e)
		default:
		}
	}
}

// refused handles an ERROR that may be the answer to GRAB_JOB.
func (s *slot) refused(l *link, c *workerConn, e *ServerError) {
	switch {
	case e.ShuttingDown():
		c.hangUp(errShutDown)
	case l.grabKnown == c: // it is about something else
	case l.stepDown():
		c.send(l.grab)
	default:
		c.hangUp(fmt.Errorf("%v: %w", wire.GrabJob, e))
	}
}

// do runs a job and sends its end. If the same link is next, the write also has
// the request for the next job.
func (s *slot) do(l *link, c *workerConn, j *Job) {
	f := s.worker.function(j.function)
	if f == nil {
		c.hangUp(c.protocolError("job %s of %.80q, which the worker cannot do", j.handle, j.function))
		<-c.dead
		s.worker.releaseJob()
		return
	}
	began := time.Now()
	data, err := s.call(l, f, j)
	s.long = time.Since(began) >= longJob
	if errors.Is(err, ErrRetry) {
		s.worker.log().Debug("job given back", "handle", string(j.handle), "function", j.function, "error", err)
		s.worker.countJob()
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
	s.worker.countJob()
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

// resultSizeError is the end of a job whose result is over the limit. The client
// receives it as a warning.
type resultSizeError struct{ size, limit int }

func (e *resultSizeError) Error() string {
	return fmt.Sprintf("the result of %d bytes is over the limit of %d bytes", e.size, e.limit)
}

func (e *resultSizeError) Unwrap() error { return ErrTooLarge }

// askAlong adds GRAB_JOB to a write on c if the slot asks this server next.
func (s *slot) askAlong(c *workerConn, put putFunc) {
	if s.hasExtraSlot() {
		return
	}
	_, version := s.worker.abilities()
	first := s.firstLink
	l, next := s.nextReadyLink()
	if next != c || l.version != version || s.stopping.Err() != nil || !s.worker.reserveJob(s.isExtra) {
		s.firstLink = first
		return
	}
	l.prepareGrab(c)
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
		if s.extra != nil {
			s.extra.end()
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

// handBack closes the connection of the job, so that the server queues the job again.
func (s *slot) handBack(l *link, c *workerConn, j *Job) {
	c.writing.Lock()
	j.ended = true
	c.writing.Unlock()
	s.mu.Lock()
	l.again = true
	s.mu.Unlock()
	c.goodbye()
}

// The links call the methods below.

// poke wakes the slot after a change.
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

// linked records a new connection. It returns false if the slot accepts no more.
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

// unlinked records the end of a connection and of the job that came over it. If the
// job was given back, it returns the wait before the next connection.
func (s *slot) unlinked(l *link, c *workerConn) time.Duration {
	if s.worker.opts.Empty != nil {
		defer s.poke() // the server may have a job
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.conn, l.ready, l.sleeping, l.known = nil, false, false, nil
	if s.job != nil && s.job.conn == c {
		s.cancel(lost(c.server, c.err))
	}
	if l.again {
		l.again = false
		return l.retries.nextWait()
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

// woken records a NOOP.
func (s *slot) woken(l *link) {
	s.mu.Lock()
	l.ready, l.sleeping = true, false
	s.mu.Unlock()
	s.poke()
}

// empty records a NO_JOB.
func (s *slot) empty(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.ready = false
}
