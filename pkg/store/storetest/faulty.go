package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"gm/pkg/store"
)

// Call is a method of a store.
type Call int

const (
	CallCommit Call = iota
	CallReplay
	CallExtras
	CallReadPayload
)

// Failure is the behaviour of a Faulty store instead of an operation.
type Failure int

const (
	Works   Failure = iota
	Refuses         // returns ErrFaulty
	Delays          // works, after holdTime
	Hangs           // returns when its context ends
	Deaf            // returns when it is healed, even if its context ends
	Panics          // panics, as a driver may
)

// ErrFaulty is returned by a call that a Faulty store refuses.
var ErrFaulty = errors.New("injected fault")

// Faulty is a store that fails on request. It passes all other calls to the
// store that it wraps, so that a call is done completely or not at all.
type Faulty struct {
	inner store.Store

	mu     sync.Mutex
	fails  map[Call]Failure
	after  int           // records or extras that pass before a reading fails
	healed chan struct{} // closed by Heal
	failed map[Call]int
}

// NewFaulty wraps a store. The result is a [store.Reader] if inner is one, and
// it is [store.Numbered].
func NewFaulty(inner store.Store) (*Faulty, store.Store) {
	f := &Faulty{inner: inner, fails: make(map[Call]Failure), healed: make(chan struct{}), failed: make(map[Call]int)}
	if r, ok := inner.(store.Reader); ok {
		return f, &faultyReader{f, r}
	}
	return f, f
}

// Fail makes all calls of a kind fail until Heal. Calls that read fail after
// some records or extras.
func (f *Faulty) Fail(c Call, how Failure, after int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails[c], f.after = how, after
}

// Heal makes the store work again.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.fails)
	close(f.healed)
	f.healed = make(chan struct{})
}

// Struck returns how many calls of a kind have failed.
func (f *Faulty) Struck(c Call) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed[c]
}

// applyFailure returns an error if the call must fail now.
func (f *Faulty) applyFailure(ctx context.Context, c Call) error {
	f.mu.Lock()
	how, healed := f.fails[c], f.healed
	if how != Works {
		f.failed[c]++
	}
	f.mu.Unlock()
	switch how {
	case Refuses:
		return ErrFaulty
	case Delays:
		return pauseFor(ctx)
	case Hangs:
		<-ctx.Done()
		return ctx.Err()
	case Deaf:
		<-healed
		return ErrFaulty
	case Panics:
		panic("injected panic of a driver")
	case Works:
	}
	return nil
}

// passedBefore returns how many records or extras pass before a reading fails.
func (f *Faulty) passedBefore() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.after
}

// Commit implements [store.Store].
func (f *Faulty) Commit(ctx context.Context, batch []store.Op) error {
	if err := f.applyFailure(ctx, CallCommit); err != nil {
		return err
	}
	return f.inner.Commit(ctx, batch)
}

// Replay implements [store.Store].
func (f *Faulty) Replay(ctx context.Context, do func(*store.Record) error) error {
	n := 0
	return f.inner.Replay(ctx, func(r *store.Record) error {
		if n++; n > f.passedBefore() {
			if err := f.applyFailure(ctx, CallReplay); err != nil {
				return err
			}
		}
		return do(r)
	})
}

// Extras implements [store.Store].
func (f *Faulty) Extras(ctx context.Context, prefix string, do func(string, []byte) error) error {
	if err := f.applyFailure(ctx, CallExtras); err != nil {
		return err
	}
	return f.inner.Extras(ctx, prefix, do)
}

// Extra implements [store.Store].
func (f *Faulty) Extra(ctx context.Context, key string) ([]byte, error) {
	if err := f.applyFailure(ctx, CallExtras); err != nil {
		return nil, err
	}
	return f.inner.Extra(ctx, key)
}

// Caps implements [store.Store].
func (f *Faulty) Caps() store.Caps { return f.inner.Caps() }

// LastSeq implements [store.Numbered].
func (f *Faulty) LastSeq(ctx context.Context) (uint64, error) {
	return f.inner.(store.Numbered).LastSeq(ctx)
}

// Close implements [store.Store].
func (f *Faulty) Close() error { return f.inner.Close() }

// faultyReader is a Faulty store that reads single payloads.
type faultyReader struct {
	*Faulty
	reader store.Reader
}

// ReadPayload implements [store.Reader].
func (f *faultyReader) ReadPayload(ctx context.Context, r *store.Record) ([]byte, error) {
	if err := f.applyFailure(ctx, CallReadPayload); err != nil {
		return nil, err
	}
	return f.reader.ReadPayload(ctx, r)
}

// ReplayHeads implements [store.Reader].
func (f *faultyReader) ReplayHeads(ctx context.Context, do func(*store.Record, int) error) error {
	n := 0
	return f.reader.ReplayHeads(ctx, func(r *store.Record, size int) error {
		if n++; n > f.passedBefore() {
			if err := f.applyFailure(ctx, CallReplay); err != nil {
				return err
			}
		}
		return do(r, size)
	})
}

// pauseFor waits for holdTime, or until ctx ends.
func pauseFor(ctx context.Context) error {
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
