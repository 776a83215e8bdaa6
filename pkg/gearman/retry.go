package gearman

import (
	"fmt"
	"maps"
	"time"
)

// This file submits tasks, and submits them again within their retries.

// submitWithRetries submits the task until it was sent to a server, or ends it.
func (r *Running) submitWithRetries(first bool, err error) {
	for {
		if !first {
			if err := r.waitForRetry(err); err != nil {
				r.endTask(err)
				return
			}
		}
		r.countAttempt()
		if err = r.client.submitToAny(r, nil); err == nil || !r.goesOn(err) {
			return
		}
		first = false
	}
}

// goesOn reports whether another attempt follows err, the error of an attempt that
// sent the task to no server. It ends the task if no attempt follows.
func (r *Running) goesOn(err error) bool {
	if r.ctx.Err() != nil {
		r.endTask(r.ctxError())
		return false
	}
	if !r.retries(err) {
		r.endTask(fmt.Errorf("submit to %s: %w", r.task.Function, err))
		return false
	}
	return true
}

// notTaken reports whether err means that the server has not accepted the task and
// accepts no others: it is shutting down, or is no Gearman server.
func notTaken(err error) bool {
	switch e := err.(type) {
	case *ServerError:
		return e.ShuttingDown()
	case *ProtocolError, *unreadError:
		return true
	}
	return false
}

// unreadError means that a server has closed a connection without reading the task,
// because an earlier packet was too large.
type unreadError struct{ cause error }

func (e *unreadError) Error() string { return e.cause.Error() }

// passOn sends an attempt that a server has not accepted to the other servers, or to
// the same one after its next start. events is held.
func (r *Running) passOn(a *attempt, err error) {
	r.detach(false)
	r.mu.Lock()
	if _, unread := err.(*unreadError); !unread { // in that case the server works
		if r.refusals == nil {
			r.refusals = ServerErrors{}
		}
		r.refusals[a.conn.server] = err
	}
	refusals := maps.Clone(r.refusals)
	r.mu.Unlock()
	spawned := r.client.spawn(func() {
		if err := r.client.submitToAny(r, refusals); err != nil && r.goesOn(err) {
			r.submitWithRetries(false, err)
		}
	})
	if !spawned {
		r.endLocked(nil, ErrClosed)
	}
}

// retries reports whether there is another attempt after err, and calls OnRetry if
// so.
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
	t := time.NewTimer(r.backoff.nextWait())
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

// beginAttempt makes a the current attempt. a.conn.mu is held.
func (r *Running) beginAttempt(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.server = a.conn.server
	if r.closed {
		a.running = nil // the context of the task was done before
		return
	}
	r.attempt = a
	a.conn.home.load.Add(1)
}

// countAttempt counts an attempt, even if no server is found for it.
func (r *Running) countAttempt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts++
	r.refusals = nil
}
