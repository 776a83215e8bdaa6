package open

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"gm/pkg/store"
)

const (
	// acquireInterval is the time between two attempts to lock the store.
	acquireInterval = time.Second
	// attemptTimeout bounds one attempt.
	attemptTimeout = 10 * time.Second
	// repeatInterval is the least time between two log lines with the same
	// message and different details.
	repeatInterval = 30 * time.Second
)

// Lock locks s for this process if several processes can reach it. Others are
// told that program holds it, with the host and the process. If another process
// holds it, the error is a [*store.HeldError]. Closing s unlocks it.
func Lock(ctx context.Context, s store.Store, program string) error {
	l, ok := s.(store.Locker)
	if !ok {
		return nil
	}
	return l.TryLock(ctx, holderName(program))
}

// holderName returns the name of this process for others.
func holderName(program string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	return fmt.Sprintf("%s on %s, pid %d", program, host, os.Getpid())
}

// Lost returns the channel that s closes once it has passed to another process;
// nil if that cannot happen.
func Lost(s store.Store) <-chan struct{} {
	if l, ok := s.(store.Locker); ok {
		return l.Lost()
	}
	return nil
}

// Acquire opens the store and locks it, as Lock does for program. While another
// process holds it, Acquire stands by: it tries again every second without end.
//
// It also waits for a store that cannot be reached, for as long as Wait says, but
// not after any other error: at a first start that is more likely a mistake in
// the configuration. A patient caller had the store before: Acquire then tries
// again after every error. The end of ctx ends it. An attempt takes at most 10 s.
//
// The caller must close the store. After an error there is nothing to close.
func (p *Place) Acquire(ctx context.Context, program string, patient bool) (store.Store, error) {
	a := acquirer{place: p, open: p.Open, program: program, patient: patient, begun: time.Now()}
	return a.run(ctx)
}

// acquirer is a call of Acquire.
type acquirer struct {
	place   *Place
	open    func(context.Context) (store.Store, error)
	program string
	begun   time.Time

	patient bool        // waits after every error
	store   store.Store // open and not yet locked; nil before and after
	log     standbyLog
}

// run tries to open and lock the store until that succeeds, until it fails for
// good, or until ctx ends.
func (a *acquirer) run(ctx context.Context) (store.Store, error) {
	tick := time.NewTicker(acquireInterval)
	defer tick.Stop()
	for {
		err := a.attempt(ctx)
		if err == nil {
			if a.log.message != "" {
				a.place.logger().Info("taking over", "store", a.place.Name())
			}
			return a.store, nil
		}
		if err := a.handleError(ctx, err); err != nil {
			return nil, errors.Join(err, Close(a.store))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), Close(a.store))
		case <-tick.C:
		}
	}
}

// attempt opens the store, unless an attempt before did, and locks it.
func (a *acquirer) attempt(ctx context.Context) (err error) {
	limit := attemptTimeout
	if left := a.waitLeft(); !a.patient && left > 0 {
		limit = min(limit, max(left, time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if a.store == nil {
		if a.store, err = a.open(ctx); err != nil {
			return err
		}
	}
	return store.MarkAway(Lock(ctx, a.store, a.program), false)
}

// waitLeft returns how much is left of the place's Wait.
func (a *acquirer) waitLeft() time.Duration { return a.place.Wait - time.Since(a.begun) }

// handleError logs the error of an attempt that will be followed by another. Any
// other error it returns.
func (a *acquirer) handleError(ctx context.Context, err error) error {
	log, name := a.place.logger(), a.place.Name()
	held := new(store.HeldError)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &held):
		a.patient = true
		if err := a.place.reportStandby(); err != nil {
			return err
		}
		if a.log.isNew("standing by", held.By) {
			log.Info(a.log.message, "store", name, "held_by", held.By)
		}
		return nil // the store stays open: the lock is tried again
	case a.patient:
		if a.log.isNew("standing by: the store does not answer", err.Error()) {
			log.Warn(a.log.message, "store", name, "err", err)
		}
	case errors.As(err, new(*store.AwayError)) && a.waitLeft() > 0:
		if a.log.isNew("waiting for the store", err.Error()) {
			log.Warn(a.log.message, "store", name, "left", a.waitLeft().Round(time.Second).String(), "err", err)
		}
	default:
		return err
	}
	Close(a.store) //nolint:errcheck // it is opened anew
	a.store = nil
	return nil
}

// reportStandby calls StandingBy, once.
func (p *Place) reportStandby() error {
	if p.StandingBy == nil || p.stoodBy {
		return nil
	}
	if err := p.StandingBy(); err != nil {
		return err
	}
	p.stoodBy = true
	return nil
}

// standbyLog decides which messages are logged: each once, and again if its
// details change, but then not often, because they may differ at each attempt.
type standbyLog struct {
	message, details string // of the last message
	at               time.Time
}

// isNew reports whether the message must be logged, and remembers it.
func (l *standbyLog) isNew(message, details string) bool {
	if message == l.message && (details == l.details || time.Since(l.at) < repeatInterval) {
		return false
	}
	l.message, l.details, l.at = message, details, time.Now()
	return true
}
