package gearman

import (
	"fmt"
	"maps"
	"time"
)

// This file submits a task, and submits it again as long as its retries last.

// submit submits until a server has been sent the task, or ends it.
func (r *Running) submit(first bool, err error) {
	for {
		if !first {
			if err := r.waitForRetry(err); err != nil {
				r.end(err)
				return
			}
		}
		r.count()
		if err = r.client.submit(r, nil); err == nil || !r.goesOn(err) {
			return
		}
		first = false
	}
}

// goesOn reports whether there is another attempt after one that no server was
// sent. If there is none, it ends the task.
func (r *Running) goesOn(err error) bool {
	if r.ctx.Err() != nil {
		r.end(r.ctxError())
		return false
	}
	if !r.retries(err) {
		r.end(fmt.Errorf("submit to %s: %w", r.task.Function, err))
		return false
	}
	return true
}

// notTaken reports whether err says that a server has not taken the task, and
// takes none: it is shutting down, or is no Gearman server.
func notTaken(err error) bool {
	switch e := err.(type) {
	case *ServerError:
		return e.ShuttingDown()
	case *ProtocolError, *unreadError:
		return true
	}
	return false
}

// unreadError says that a server has closed a connection without reading the task:
// what came before it was too large.
type unreadError struct{ cause error }

func (e *unreadError) Error() string { return e.cause.Error() }

// passOn sends an attempt that a server has not taken to the other servers, or
// to the next start of that one. events is held.
func (r *Running) passOn(a *attempt, err error) {
	r.detach(false)
	r.mu.Lock()
	if _, unread := err.(*unreadError); !unread { // else the server is well
		if r.refusals == nil {
			r.refusals = ServerErrors{}
		}
		r.refusals[a.conn.server] = err
	}
	refusals := maps.Clone(r.refusals)
	r.mu.Unlock()
	spawned := r.client.spawn(func() {
		if err := r.client.submit(r, refusals); err != nil && r.goesOn(err) {
			r.submit(false, err)
		}
	})
	if !spawned {
		r.endLocked(nil, ErrClosed)
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
	r.server = a.conn.server
	if r.closed {
		a.running = nil // its context was done meanwhile
		return
	}
	r.attempt = a
	a.conn.home.load.Add(1)
}

// count counts an attempt, whether or not a server is found for it.
func (r *Running) count() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts++
	r.refusals = nil
}
