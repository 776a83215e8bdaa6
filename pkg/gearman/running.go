package gearman

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"

	"gm/pkg/wire"
)

// Running is a submitted task. Its methods are safe for concurrent use.
type Running struct {
	client *Client
	task   *Task
	ctx    context.Context    // of the task, with its Timeout
	cancel context.CancelFunc // of ctx; nil if ctx is the caller's
	watched

	// events serializes the callbacks and the end of the task. It is locked before
	// clientConn.mu and mu.
	events  sync.Mutex
	ended   bool
	data    []byte // parts of the result of this attempt, without OnData; at the end, the result
	backoff backoff

	mu       sync.Mutex
	attempt  *attempt // the current attempt; nil between two attempts
	closed   bool     // there are no further attempts
	once     bool     // of the attempt with this handle
	attempts int
	refusals ServerErrors // of this attempt, by servers that are shutting down or speak no Gearman
	handle   Handle
	server   Server
	created  latch   // the first JOB_CREATED, or the end
	done     latch   // after the last callback
	err      error   // set when done
	result   *Result // set by the first call of outcome
}

// attempt is one submission of a task on one connection. Guarded by conn.mu.
type attempt struct {
	conn       *clientConn
	background bool
	once       bool // the server has accepted Options.Once
	handle     Handle
	running    *Running // nil once it has ended
}

func newRunning(ctx context.Context, c *Client, t *Task) *Running {
	r := &Running{client: c, task: t, ctx: ctx, backoff: newBackoff(&c.opts)}
	if t.Timeout > 0 {
		r.ctx, r.cancel = context.WithTimeoutCause(ctx, t.Timeout, ErrTimeout)
	}
	c.watches.add(r)
	return r
}

// cancelled ends a task whose context is done.
func (r *Running) cancelled() {
	r.events.Lock()
	defer r.events.Unlock()
	if !r.ended { // after the end the caller may change the task
		r.endLocked(nil, r.ctxError())
	}
}

// ctxError returns the error of a task whose context is done.
func (r *Running) ctxError() error {
	cause := context.Cause(r.ctx)
	if h := r.Handle(); h != "" {
		return fmt.Errorf("wait for job %s of %s: %w", h, r.task.Function, cause)
	}
	return fmt.Errorf("submit to %s: %w", r.task.Function, cause)
}

// Task returns the task. It must not be changed before the task has ended.
func (r *Running) Task() *Task { return r.task }

// Handle returns the handle of the job. It is empty until the server has accepted
// the job, and changes with a retry.
func (r *Running) Handle() Handle {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handle
}

// Server returns the server of the latest submission, zero before the first one.
func (r *Running) Server() Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server
}

// Attempts returns the number of submissions so far.
func (r *Running) Attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempts
}

// Created returns a channel that is closed when the server has accepted the job, or
// when the task has ended without that.
func (r *Running) Created() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.created.wait()
}

// Done returns a channel that is closed when the task has ended and its last
// callback has returned.
func (r *Running) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done.wait()
}

// Wait waits for the end of the task and returns its result. If ctx is done first,
// Wait returns its cause and the task goes on; only the context of the submission
// ends the task.
func (r *Running) Wait(ctx context.Context) (*Result, error) {
	done := r.Done()
	select {
	case <-done:
		return r.outcome()
	default:
	}
	select {
	case <-done:
		return r.outcome()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// outcome returns the result of a task that is done.
func (r *Running) outcome() (*Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && r.result == nil {
		r.result = &Result{Handle: r.handle, Server: r.server, Data: r.data, Attempts: r.attempts, Once: r.once}
	}
	return r.result, r.err
}

// current reports whether a is the current attempt. If so, events is locked, and the
// caller must unlock it.
func (r *Running) current(a *attempt) bool {
	r.events.Lock()
	r.mu.Lock()
	ok := !r.ended && r.attempt == a
	r.mu.Unlock()
	if !ok {
		r.events.Unlock()
	}
	return ok
}

// deliver passes a packet of an attempt to the task.
func (r *Running) deliver(a *attempt, p *wire.Packet) {
	if !r.current(a) {
		return
	}
	defer r.events.Unlock()
	switch p.Type {
	case wire.JobCreated:
		r.onCreated(a.handle, a.once)
	case wire.WorkData:
		r.onData(p.Args[1])
	case wire.WorkWarning:
		if f := r.task.OnWarning; f != nil {
			f(p.Args[1])
		}
		r.emitData(EventWarning, p.Args[1])
	case wire.WorkStatus:
		r.onStatus(p)
	case wire.WorkComplete:
		r.endLocked(append(r.data, p.Args[1]...), nil)
	case wire.WorkFail:
		r.failAttempt(&FailError{Handle: r.Handle()})
	case wire.WorkException:
		data := bytes.Clone(p.Args[1])
		if f := r.task.OnException; f != nil {
			f(p.Args[1])
		}
		r.emitData(EventException, data)
		r.failAttempt(&ExceptionError{Handle: r.Handle(), Data: data})
	}
}

func (r *Running) onCreated(h Handle, once bool) {
	r.mu.Lock()
	r.handle, r.once = h, once
	server := r.server
	r.mu.Unlock()
	if f := r.task.OnServer; f != nil {
		f(server)
	}
	if f := r.task.OnCreated; f != nil {
		f(h)
	}
	r.emit(Event{Kind: EventCreated})
	if r.task.Background {
		r.endLocked(nil, nil)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.created.release()
}

func (r *Running) onData(chunk []byte) {
	switch {
	case r.task.OnData != nil:
		r.task.OnData(chunk)
	case r.task.Events == nil:
		r.data = append(r.data, chunk...)
	}
	r.emitData(EventData, chunk)
}

func (r *Running) onStatus(p *wire.Packet) {
	num, den := number(p.Args[1]), number(p.Args[2])
	if f := r.task.OnStatus; f != nil {
		f(num, den)
	}
	r.emit(Event{Kind: EventStatus, Numerator: num, Denominator: den})
}

// fail ends an attempt without a result. A *ServerError is the answer to its
// submission, and a *ProtocolError means that the server has never sent a packet.
// Other errors may wrap these.
func (r *Running) fail(a *attempt, err error) {
	if !r.current(a) {
		return
	}
	defer r.events.Unlock()
	if notTaken(err) && r.ctx.Err() == nil {
		r.passOn(a, err)
		return
	}
	r.failAttempt(err)
}

// failAttempt submits again or ends the task. events is held.
func (r *Running) failAttempt(err error) {
	if r.ctx.Err() == nil && r.retriesLocked(err) {
		r.detach(false)
		if r.client.spawn(func() { r.submitWithRetries(false, err) }) {
			return
		}
		err = ErrClosed
	}
	r.endLocked(nil, err)
}

// endTask ends the task, once.
func (r *Running) endTask(err error) {
	r.events.Lock()
	defer r.events.Unlock()
	r.endLocked(nil, err)
}

func (r *Running) endLocked(data []byte, err error) {
	if r.ended {
		return
	}
	r.ended = true
	r.detach(true)
	if err != nil {
		data = nil
	}
	wanted := r.task.Events != nil // read here, because the caller may change the task after OnComplete
	if err != nil {
		if f := r.task.OnFail; f != nil {
			f(err)
		}
	} else if f := r.task.OnComplete; f != nil {
		f(data)
	}
	switch {
	case wanted && err != nil:
		r.emit(Event{Kind: EventFail, Err: err})
	case wanted:
		r.emit(Event{Kind: EventComplete, Data: data})
	}
	r.mu.Lock()
	r.data, r.err = data, err
	r.created.release()
	r.done.release()
	r.mu.Unlock()
	r.client.watches.remove(r)
	if r.cancel != nil {
		r.cancel()
	}
}

// detach removes the task from its connection. Further packets of the attempt are
// read and dropped.
func (r *Running) detach(forGood bool) {
	r.mu.Lock()
	a := r.attempt
	r.attempt, r.closed = nil, forGood
	r.mu.Unlock()
	if a != nil {
		a.conn.home.load.Add(-1)
		a.conn.mu.Lock()
		a.running = nil
		a.conn.mu.Unlock()
	}
}

func (r *Running) emitData(k EventKind, data []byte) {
	if r.task.Events != nil {
		r.emit(Event{Kind: k, Data: bytes.Clone(data)})
	}
}

// emit sends an event to the channel of the task. It blocks while the channel is
// full, until the task's context is done or the client is closed.
func (r *Running) emit(e Event) {
	if r.task.Events == nil {
		return
	}
	r.mu.Lock()
	e.Task, e.Handle, e.Attempt = r.task, r.handle, r.attempts
	r.mu.Unlock()
	select {
	case r.task.Events <- e:
		return
	default:
	}
	select {
	case r.task.Events <- e:
	case <-r.ctx.Done():
	case <-r.client.closing.Done():
	}
}

// number parses a number of a status packet. Invalid text is 0, because the text of
// a worker must not end the connection of its client.
func number(b []byte) int64 {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
