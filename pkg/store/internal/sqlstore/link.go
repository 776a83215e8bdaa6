package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gm/pkg/store"
)

const (
	// ConnectTimeout limits the time from a lost session to the next: to dial,
	// to end the lost session, to lock and to undo.
	ConnectTimeout = 3 * time.Second
	// lockPatience is the maximum wait for the lock of a lost session.
	lockPatience = time.Second
	// watchInterval is the interval at which a session with the lock is
	// checked. It limits the time until a holder detects that it has lost the
	// store.
	watchInterval = time.Second
)

// Session is a connection to the database that can commit. A Link has one at a
// time and makes one call of it at a time.
type Session interface {
	// Lock takes the store's lock for the life of the session, and reports
	// whether it did. It does not if another session has the lock. again is set
	// if an earlier session of the store had the lock; then Lock does not take
	// it either if another store had it since.
	Lock(ctx context.Context, again bool) (bool, error)
	// Note stores a description of the holder that others can read.
	Note(ctx context.Context, holder string) error
	// Holder returns the note of the last holder.
	Holder(ctx context.Context) (string, error)
	// Undo forgets jobs.
	Undo(ctx context.Context, seqs []uint64) error
	// Ping checks that the server answers, and keeps the lock.
	Ping(ctx context.Context) error
	// Alive reports whether the session can still be used.
	Alive() bool
	// Close ends the session. If it can, it frees its locks first.
	Close()
}

// Dial starts a session. When it returns, an earlier session of the same Link
// has no further effect: the server has committed or rolled back its
// transactions.
type Dial[S Session] func(ctx context.Context) (S, error)

// ErrLost is returned by a link whose lock has passed to another server.
var ErrLost = errors.New("another server has taken the store")

var errClosed = errors.New("store is closed")

// Link is the one session on which a store writes. The lock and the commits use
// the same connection, so that a store that has lost the lock cannot commit.
//
// A goroutine checks the session from TryLock to Close. Several goroutines may
// call the methods of a Link.
type Link[S Session] struct {
	dial Dial[S]
	log  *slog.Logger

	lost  chan struct{}
	stop  chan struct{}
	watch sync.WaitGroup

	// available has a token unless a goroutine uses the session. That goroutine
	// owns the fields below.
	available chan struct{}

	session S
	up      bool     // session is valid
	holder  string   // the note stored with the lock; empty if the lock was never taken
	undo    []uint64 // jobs that may have been stored although their Commit failed
	closed  bool
	isLost  bool // lost is closed
}

// NewLink returns a link that dials at its first use.
func NewLink[S Session](dial Dial[S], log *slog.Logger) *Link[S] {
	l := &Link[S]{
		dial: dial, log: log,
		lost: make(chan struct{}), stop: make(chan struct{}), available: make(chan struct{}, 1),
	}
	l.available <- struct{}{}
	return l
}

// Do calls f with the session, dialling one if there is none. If f's error is a
// [store.UncertainError], the jobs in seqs are undone before any other use of a
// session. seqs may be nil.
func (l *Link[S]) Do(ctx context.Context, seqs func() []uint64, f func(S) error) error {
	if err := l.acquireSession(ctx); err != nil {
		return err
	}
	defer l.releaseSession()
	s, err := l.readySession(ctx)
	if err != nil {
		return err
	}
	err = f(s)
	var uncertain *store.UncertainError
	if errors.As(err, &uncertain) {
		if seqs != nil {
			l.undo = append(l.undo, seqs()...)
		}
		l.dropSession()
	} else if !s.Alive() {
		l.dropSession()
	}
	return err
}

// UndoUncertain undoes the uncertain jobs. Other sessions may read after that.
func (l *Link[S]) UndoUncertain(ctx context.Context) error {
	if err := l.acquireSession(ctx); err != nil {
		return err
	}
	defer l.releaseSession()
	if len(l.undo) == 0 {
		return nil
	}
	_, err := l.readySession(ctx)
	return err
}

// TryLock implements [store.Locker]. If the session has ended since the last
// call, as idle ones do, TryLock tries again with a new one.
func (l *Link[S]) TryLock(ctx context.Context, name string) error {
	if err := l.acquireSession(ctx); err != nil {
		return err
	}
	defer l.releaseSession()
	idle := l.up
	err := l.lockStore(ctx, name)
	if err != nil && idle && !l.up && l.holder == "" && ctx.Err() == nil {
		err = l.lockStore(ctx, name)
	}
	return err
}

// lockStore takes the store's lock and starts to check the session, unless this link
// has the lock. It drops a session that an error has ended.
func (l *Link[S]) lockStore(ctx context.Context, name string) error {
	s, err := l.readySession(ctx)
	if err != nil {
		return err
	}
	if l.holder != "" {
		return nil
	}
	got, err := s.Lock(ctx, false)
	if err == nil && !got {
		err = heldError(ctx, s)
	}
	holder := store.Holder(name, time.Now())
	if err == nil {
		err = s.Note(ctx, holder)
		if err != nil {
			l.dropSession() // and the lock with it
		}
	}
	if err != nil {
		if l.up && !s.Alive() {
			l.dropSession()
		}
		return err
	}
	l.holder = holder
	l.watch.Go(l.watchSession)
	return nil
}

// Lost implements [store.Locker].
func (l *Link[S]) Lost() <-chan struct{} { return l.lost }

// Close ends the session and frees the lock. It waits for running calls. It
// undoes the remaining uncertain jobs if the server can be reached soon.
func (l *Link[S]) Close() error {
	<-l.available
	if l.closed {
		l.releaseSession()
		return nil
	}
	if len(l.undo) > 0 {
		if _, err := l.readySession(context.Background()); err != nil {
			l.log.Warn("jobs whose submission failed may still be there", "jobs", len(l.undo), "error", err)
		}
	}
	l.closed = true
	l.dropSession()
	close(l.stop)
	l.releaseSession()
	l.watch.Wait()
	return nil
}

// Abandon drops the connection without closing it properly.
func (l *Link[S]) Abandon(cut func(S)) {
	<-l.available
	l.closed = true
	if l.up {
		cut(l.session)
		l.up = false
	}
	close(l.stop)
	l.releaseSession()
	l.watch.Wait()
}

// acquireSession waits until no other goroutine uses the session.
func (l *Link[S]) acquireSession(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-l.available:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Link[S]) releaseSession() { l.available <- struct{}{} }

// readySession returns a session that may commit: it has the lock if this store ever
// had it, and no uncertain jobs are left.
func (l *Link[S]) readySession(ctx context.Context) (s S, err error) {
	switch {
	case l.closed:
		return s, errClosed
	case l.isLost:
		return s, ErrLost
	case l.up:
		return l.session, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	if s, err = l.dial(ctx); err != nil {
		return s, fmt.Errorf("connect: %w", err)
	}
	if err := l.prepareSession(ctx, s); err != nil {
		s.Close()
		return s, err
	}
	l.session, l.up = s, true
	return s, nil
}

// prepareSession takes the lock again if an earlier session had it, and undoes
// the uncertain jobs.
func (l *Link[S]) prepareSession(ctx context.Context, s S) error {
	if l.holder != "" {
		got, err := lockAgain(ctx, s)
		if err != nil {
			return fmt.Errorf("take the lock again: %w", err)
		}
		if !got {
			l.log.Error("the store has passed to another server while the connection was lost", "error", heldError(ctx, s))
			l.isLost = true
			close(l.lost)
			return ErrLost
		}
		if err := s.Note(ctx, l.holder); err != nil {
			return fmt.Errorf("note the holder: %w", err)
		}
	}
	if len(l.undo) > 0 {
		if err := s.Undo(ctx, l.undo); err != nil {
			return fmt.Errorf("undo %d jobs: %w", len(l.undo), err)
		}
		l.undo = nil
	}
	return nil
}

// lockAgain takes the lock that the lost session had. The server may be about
// to free it: the end of a session frees its locks one after the other.
func lockAgain(ctx context.Context, s Session) (bool, error) {
	giveUp := time.NewTimer(lockPatience)
	defer giveUp.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := s.Lock(ctx, true)
		if err != nil || got {
			return got, err
		}
		select {
		case <-tick.C:
		case <-giveUp.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// heldError returns the error of a lock that another session has.
func heldError(ctx context.Context, s Session) error {
	by, err := s.Holder(ctx)
	if err != nil {
		return fmt.Errorf("read the holder's name: %w", err)
	}
	if by == "" {
		by = "another server"
	}
	return &store.HeldError{By: by}
}

// dropSession closes the session, if there is one.
func (l *Link[S]) dropSession() {
	if l.up {
		l.session.Close()
		l.up = false
	}
}

// watchSession checks the session while there are no other calls, and dials again
// if it is lost. So the store detects a lost lock before the next job, and an
// idle server learns that it no longer holds the store.
func (l *Link[S]) watchSession() {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.lost:
			return
		case <-tick.C:
		}
		select {
		case <-l.available:
			l.checkSession()
			l.releaseSession()
		default: // the goroutine that uses the session detects the loss
		}
	}
}

// checkSession pings the session, and dials again if it is lost.
func (l *Link[S]) checkSession() {
	if l.closed || l.isLost {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), ConnectTimeout)
	defer cancel()
	if l.up {
		err := l.session.Ping(ctx)
		if err == nil {
			return
		}
		l.log.Warn("connection to the store is lost", "error", err)
		l.dropSession()
	}
	if _, err := l.readySession(ctx); err == nil {
		l.log.Info("connected to the store again")
	}
}
