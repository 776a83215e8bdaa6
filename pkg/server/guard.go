package server

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"gm/pkg/store"
)

// guarded is a store whose panics are errors: a driver that panics on one batch or
// one payload must not end the server.
type guarded struct{ store.Store }

// panicError is a driver's panic.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("store panicked: %v", e.value) }

// catch turns a panic of a driver into the error of its call. It lets a panic of a
// callback go on, which is the server's own.
func catch(err *error, inside *bool) {
	if inside != nil && *inside {
		return
	}
	if v := recover(); v != nil {
		*err = &panicError{value: v, stack: debug.Stack()}
	}
}

// Commit implements [store.Store].
func (g guarded) Commit(ctx context.Context, ops []store.Op) (err error) {
	defer catch(&err, nil)
	return g.Store.Commit(ctx, ops)
}

// Replay implements [store.Store].
func (g guarded) Replay(ctx context.Context, f func(*store.Record) error) (err error) {
	var inside bool
	defer catch(&err, &inside)
	return g.Store.Replay(ctx, func(r *store.Record) error {
		inside = true
		err := f(r)
		inside = false
		return err
	})
}

// Extras implements [store.Store].
func (g guarded) Extras(ctx context.Context, prefix string, f func(string, []byte) error) (err error) {
	var inside bool
	defer catch(&err, &inside)
	return g.Store.Extras(ctx, prefix, func(key string, value []byte) error {
		inside = true
		err := f(key, value)
		inside = false
		return err
	})
}

// Extra implements [store.Store].
func (g guarded) Extra(ctx context.Context, key string) (value []byte, err error) {
	defer catch(&err, nil)
	return g.Store.Extra(ctx, key)
}

// Close implements [store.Store].
func (g guarded) Close() (err error) {
	defer catch(&err, nil)
	return g.Store.Close()
}

// LastSeq implements [store.Numbered]. It returns 0 if the store has no such method.
func (g guarded) LastSeq(ctx context.Context) (last uint64, err error) {
	defer catch(&err, nil)
	n, ok := g.Store.(store.Numbered)
	if !ok {
		return 0, nil
	}
	return n.LastSeq(ctx)
}

// guardedReader is a [store.Reader] whose panics are errors.
type guardedReader struct{ store.Reader }

// ReadPayload implements [store.Reader].
func (g guardedReader) ReadPayload(ctx context.Context, r *store.Record) (payload []byte, err error) {
	defer catch(&err, nil)
	return g.Reader.ReadPayload(ctx, r)
}

// ReplayHeads implements [store.Reader].
func (g guardedReader) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) (err error) {
	var inside bool
	defer catch(&err, &inside)
	return g.Reader.ReplayHeads(ctx, func(r *store.Record, size int) error {
		inside = true
		err := f(r, size)
		inside = false
		return err
	})
}

// stackOf returns the stack of a driver's panic, empty if err is no panic.
func stackOf(err error) string {
	var p *panicError
	if errors.As(err, &p) {
		return string(p.stack)
	}
	return ""
}
