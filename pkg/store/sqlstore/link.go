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
	// connectTimeout bounds all that stands between a lost session and the
	// next: dialling, the end of the lost one, the lock, the undoing.
	connectTimeout = 3 * time.Second
	// lockPatience is how long the lock of a lost session is waited for.
	lockPatience = time.Second
	// watchInterval is how often a session with the lock is looked after. It
	// bounds how long a holder does not know that it is one no more.
	watchInterval = time.Second
)

// Session is a connection to the database that can commit. A Link has one at a
// time and calls nothing of it twice at once.
type Session interface {
	// Lock takes the store's lock for the life of the session. It is false
	// if another session has it or, if again is set because an earlier session
	// of the store had it, if another store had it since.
	Lock(ctx context.Context, again bool) (bool, error)
	// Note keeps what is to be known of the holder, where others can read it.
	Note(ctx context.Context, holder string) error
	// Holder returns what the last holder has noted.
	Holder(ctx context.Context) (string, error)
	// Undo forgets jobs.
	Undo(ctx context.Context, seqs []uint64) error
	// Ping asks the server for a sign of life, and keeps the lock.
	Ping(ctx context.Context) error
	// Alive is false once the session can't be used any more.
	Alive() bool
	// Close ends the session. If it can, it frees its locks first.
	Close()
}

// Dial starts a session. When it returns, an earlier one of the same Link can
// do nothing more: whatever the server had of it is committed or rolled back.
type Dial[S Session] func(ctx context.Context) (S, error)

// ErrLost is the error of a link whose lock has passed to another server.
var ErrLost = errors.New("another server has taken the store")

var errClosed = errors.New("store is closed")

// Link is the one session on which a store writes. Lock and commits are on the
// same connection, so that who has lost the one can't do the other.
//
// Once it has the lock, a goroutine looks after the session, from TryLock to
// Close. Its methods may be called by several goroutines.
type Link[S Session] struct {
	dial Dial[S]
	log  *slog.Logger

	lost  chan struct{}
	stop  chan struct{}
	watch sync.WaitGroup

	// The turn is in the channel unless someone has it; the rest is theirs.
	turn    chan struct{}
	session S
	up      bool     // session is one
	holder  string   // what was noted with the lock; empty if it was never taken
	undo    []uint64 // jobs that may have been kept though their Commit failed
	closed  bool
	passed  bool // lost is closed
}

// NewLink returns a link that dials when it is first used.
func NewLink[S Session](dial Dial[S], log *slog.Logger) *Link[S] {
	l := &Link[S]{
		dial: dial, log: log,
		lost: make(chan struct{}), stop: make(chan struct{}), turn: make(chan struct{}, 1),
	}
	l.turn <- struct{}{}
	return l
}

// Do calls f with the session, dialling one if there is none. If f's error is
// a [store.UncertainError], the jobs in seqs are undone before anything else
// is done with a session.
func (l *Link[S]) Do(ctx context.Context, seqs func() []uint64, f func(S) error) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	s, err := l.ready(ctx)
	if err != nil {
		return err
	}
	err = f(s)
	var uncertain *store.UncertainError
	if errors.As(err, &uncertain) {
		l.undo = append(l.undo, seqs()...)
		l.drop()
	} else if !s.Alive() {
		l.drop()
	}
	return err
}

// Settle undoes what is to be undone, so that others may read.
func (l *Link[S]) Settle(ctx context.Context) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	if len(l.undo) == 0 {
		return nil
	}
	_, err := l.ready(ctx)
	return err
}

// TryLock is that of [store.Locker].
func (l *Link[S]) TryLock(ctx context.Context, name string) error {
	if err := l.take(ctx); err != nil {
		return err
	}
	defer l.give()
	s, err := l.ready(ctx)
	if err != nil {
		return err
	}
	if l.holder != "" {
		return nil
	}
	got, err := s.Lock(ctx, false)
	if err == nil && !got {
		err = held(ctx, s)
	}
	holder := store.Holder(name, time.Now())
	if err == nil {
		err = s.Note(ctx, holder)
		if err != nil {
			l.drop() // and the lock with it
		}
	}
	if err != nil {
		if l.up && !s.Alive() {
			l.drop()
		}
		return err
	}
	l.holder = holder
	l.watch.Go(l.lookAfter)
	return nil
}

// Lost is that of [store.Locker].
func (l *Link[S]) Lost() <-chan struct{} { return l.lost }

// Close ends the session and frees the lock. It waits for what runs. Jobs that
// are still to be undone are undone if the server can be reached soon.
func (l *Link[S]) Close() error {
	<-l.turn
	if l.closed {
		l.give()
		return nil
	}
	if len(l.undo) > 0 {
		if _, err := l.ready(context.Background()); err != nil {
			l.log.Warn("jobs whose submission failed may still be there", "jobs", len(l.undo), "error", err)
		}
	}
	l.closed = true
	l.drop()
	close(l.stop)
	l.give()
	l.watch.Wait()
	return nil
}

// Abandon loses the connection, closing nothing properly.
func (l *Link[S]) Abandon(cut func(S)) {
	<-l.turn
	l.closed = true
	if l.up {
		cut(l.session)
		l.up = false
	}
	close(l.stop)
	l.give()
	l.watch.Wait()
}

func (l *Link[S]) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-l.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Link[S]) give() { l.turn <- struct{}{} }

// ready returns a session that may commit: it has the lock if this store ever
// had it, and nothing is left to be undone.
func (l *Link[S]) ready(ctx context.Context) (s S, err error) {
	switch {
	case l.closed:
		return s, errClosed
	case l.passed:
		return s, ErrLost
	case l.up:
		return l.session, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if s, err = l.dial(ctx); err != nil {
		return s, fmt.Errorf("connect: %w", err)
	}
	if err := l.prepare(ctx, s); err != nil {
		s.Close()
		return s, err
	}
	l.session, l.up = s, true
	return s, nil
}

func (l *Link[S]) prepare(ctx context.Context, s S) error {
	if l.holder != "" {
		got, err := lockAgain(ctx, s)
		if err != nil {
			return fmt.Errorf("take the lock again: %w", err)
		}
		if !got {
			l.log.Error("the store has passed to another server while the connection was lost", "error", held(ctx, s))
			l.passed = true
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

// held returns the error of a lock that another session has.
func held(ctx context.Context, s Session) error {
	by, err := s.Holder(ctx)
	if err != nil {
		return fmt.Errorf("read the holder's name: %w", err)
	}
	if by == "" {
		by = "another server"
	}
	return &store.HeldError{By: by}
}

func (l *Link[S]) drop() {
	if l.up {
		l.session.Close()
		l.up = false
	}
}

// lookAfter sees, while nothing else is done, that the session is there, and
// dials again when it is not: so the lock is missed before a job is, and a
// server that waits for jobs is told when it holds the store no more.
func (l *Link[S]) lookAfter() {
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
		case <-l.turn:
			l.look()
			l.give()
		default: // whoever has the turn finds out
		}
	}
}

func (l *Link[S]) look() {
	if l.closed || l.passed {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if l.up {
		err := l.session.Ping(ctx)
		if err == nil {
			return
		}
		l.log.Warn("connection to the store is lost", "error", err)
		l.drop()
	}
	if _, err := l.ready(ctx); err == nil {
		l.log.Info("connected to the store again")
	}
}
