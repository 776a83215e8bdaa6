package gearman

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"gm/pkg/wire"
)

// Running is a task on its way. Its methods are safe for concurrent use.
type Running struct {
	client *Client
	task   *Task
	ctx    context.Context // of the task: with its Timeout
	cancel context.CancelFunc
	unhook func() bool // takes back what was hooked to ctx

	created chan struct{} // closed by the first JOB_CREATED or the end
	done    chan struct{} // closed after the last callback
	result  *Result       // set before done is closed
	err     error         // the same

	// events makes callbacks and the end one at a time. It is taken before
	// clientConn.mu and mu.
	events  sync.Mutex
	ended   bool
	data    []byte // chunks of this attempt, without OnData
	backoff backoff

	mu       sync.Mutex
	attempt  *attempt // the one that counts; nil between two
	attempts int
	handle   Handle
	server   Server
}

// attempt is one submission of a task on one connection.
type attempt struct {
	conn       *clientConn
	background bool
	running    *Running // nil once it has ended; guarded by conn.mu
}

func newRunning(ctx context.Context, c *Client, t *Task) *Running {
	r := &Running{
		client: c, task: t,
		created: make(chan struct{}), done: make(chan struct{}),
		backoff: newBackoff(&c.opts),
	}
	if t.Timeout > 0 {
		r.ctx, r.cancel = context.WithTimeoutCause(ctx, t.Timeout, ErrTimeout)
	} else {
		r.ctx, r.cancel = context.WithCancel(ctx)
	}
	r.events.Lock() // the hook may run before AfterFunc has returned
	defer r.events.Unlock()
	r.unhook = context.AfterFunc(r.ctx, func() {
		r.events.Lock()
		defer r.events.Unlock()
		if !r.ended { // else the task is the caller's again
			r.endLocked(nil, r.ctxError())
		}
	})
	return r
}

// ctxError is the error of a task whose context is done.
func (r *Running) ctxError() error {
	cause := context.Cause(r.ctx)
	if h := r.Handle(); h != "" {
		return fmt.Errorf("wait for job %s of %s: %w", h, r.task.Function, cause)
	}
	return fmt.Errorf("submit to %s: %w", r.task.Function, cause)
}

// Task returns the task. It must not be changed before its end.
func (r *Running) Task() *Task { return r.task }

// Handle returns the job's handle, empty before JOB_CREATED. A retry changes it.
func (r *Running) Handle() Handle {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handle
}

// Server returns the server that was asked last; zero before the first.
func (r *Running) Server() Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server
}

// Attempts returns how often the task has been submitted so far.
func (r *Running) Attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attempts
}

// Created returns a channel that is closed once the server has accepted the
// job, or the task has ended before that.
func (r *Running) Created() <-chan struct{} { return r.created }

// Done returns a channel that is closed when the task has ended and its last
// callback has returned.
func (r *Running) Done() <-chan struct{} { return r.done }

// Wait waits for the task's end, or for ctx: the task goes on when ctx is done
// first. The context that the task was started with ends the task itself.
func (r *Running) Wait(ctx context.Context) (*Result, error) {
	select {
	case <-r.done:
		return r.result, r.err
	default:
	}
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// submit submits until a server has been sent the task, or ends it.
func (r *Running) submit(first bool, err error) {
	for {
		if !first {
			if err := r.waitForRetry(err); err != nil {
				r.end(nil, err)
				return
			}
		}
		if err = r.client.submit(r); err == nil {
			return
		}
		if r.ctx.Err() != nil {
			r.end(nil, r.ctxError())
			return
		}
		if !r.retries(err) {
			r.end(nil, fmt.Errorf("submit to %s: %w", r.task.Function, err))
			return
		}
		first = false
	}
}

// retries reports whether there is another attempt after err, and says so.
func (r *Running) retries(err error) bool {
	r.events.Lock()
	defer r.events.Unlock()
	return !r.ended && r.retriesLocked(err)
}

func (r *Running) retriesLocked(err error) bool {
	n := r.Attempts()
	if n > r.task.Retries || !mayRetry(err) || r.client.isClosed() {
		return false
	}
	r.data = nil
	if f := r.task.OnRetry; f != nil {
		f(n, err)
	}
	r.emit(Event{Kind: EventRetry, Err: err})
	return true
}

func (r *Running) waitForRetry(err error) error {
	if failedAtOnce(err) {
		r.backoff.reset()
		return nil
	}
	t := time.NewTimer(r.backoff.next())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx.Done():
		return r.ctxError()
	case <-r.client.closing.Done():
		return ErrClosed
	}
}

// begin makes a the attempt that counts. It is called with a.conn.mu held.
func (r *Running) begin(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempt, r.server = a, a.conn.server
}

// count counts an attempt, whether or not a server is found for it.
func (r *Running) count() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts++
}

// current locks events if a is the attempt that counts. The caller unlocks it.
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

// deliver hands the packet of an attempt to the task.
func (r *Running) deliver(a *attempt, p *wire.Packet) {
	if !r.current(a) {
		return
	}
	defer r.events.Unlock()
	switch p.Type {
	case wire.JobCreated:
		r.onCreated(Handle(p.Args[0]))
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
		r.complete(append(r.data, p.Args[1]...))
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

func (r *Running) onCreated(h Handle) {
	r.mu.Lock()
	r.handle = h
	r.mu.Unlock()
	if f := r.task.OnServer; f != nil {
		f(r.Server())
	}
	if f := r.task.OnCreated; f != nil {
		f(h)
	}
	r.emit(Event{Kind: EventCreated})
	if r.task.Background {
		r.complete(nil)
	}
	r.closeCreated()
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

// fail ends an attempt that did not get as far as a result.
func (r *Running) fail(a *attempt, err error) {
	if r.current(a) {
		defer r.events.Unlock()
		r.failAttempt(err)
	}
}

// failAttempt submits again or ends the task. events is held.
func (r *Running) failAttempt(err error) {
	if r.ctx.Err() == nil && r.retriesLocked(err) {
		r.detach()
		if r.client.spawn(func() { r.submit(false, err) }) {
			return
		}
		err = ErrClosed
	}
	r.endLocked(nil, err)
}

func (r *Running) complete(data []byte) {
	r.mu.Lock()
	result := &Result{Handle: r.handle, Server: r.server, Data: data, Attempts: r.attempts}
	r.mu.Unlock()
	r.endLocked(result, nil)
}

// end ends the task, once.
func (r *Running) end(result *Result, err error) {
	r.events.Lock()
	defer r.events.Unlock()
	r.endLocked(result, err)
}

func (r *Running) endLocked(result *Result, err error) {
	if r.ended {
		return
	}
	r.ended = true
	r.detach()
	r.result, r.err, r.data = result, err, nil
	wanted := r.task.Events != nil // after OnComplete the task is the caller's
	last := Event{Kind: EventComplete, Err: err}
	if err != nil {
		last.Kind = EventFail
		if f := r.task.OnFail; f != nil {
			f(err)
		}
	} else {
		last.Data = result.Data
		if f := r.task.OnComplete; f != nil {
			f(result.Data)
		}
	}
	if wanted {
		r.emit(last)
	}
	r.closeCreated()
	close(r.done)
	r.unhook()
	r.cancel()
}

// detach takes the task off its connection. What still comes for the attempt
// is read and dropped.
func (r *Running) detach() {
	r.mu.Lock()
	a := r.attempt
	r.attempt = nil
	r.mu.Unlock()
	if a != nil {
		a.conn.mu.Lock()
		a.running = nil
		a.conn.mu.Unlock()
	}
}

func (r *Running) closeCreated() {
	select {
	case <-r.created:
	default:
		close(r.created)
	}
}

func (r *Running) emitData(k EventKind, data []byte) {
	if r.task.Events != nil {
		r.emit(Event{Kind: k, Data: bytes.Clone(data)})
	}
}

// emit sends an event, if anyone wants it. It waits for room until the task's
// context is done or the client is closed.
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

// number reads a number of a status packet. What is none is 0: a worker's text
// must not end the connection of its client.
func number(b []byte) int64 {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
