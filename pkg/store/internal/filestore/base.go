// Package filestore has the code that stores in files share:
//
//   - [Base] is the part of a store that does not depend on its engine: its
//     name in errors and in the log, its lock, and the watch of its files;
//   - [Lock] is a file that the system locks for one process, and into which the
//     process writes its name;
//   - [Watch] detects that the open files of a store are removed, moved or
//     replaced;
//   - [MakeDirs], [MakeFile], [KeepMode], [SyncDir] and [SyncFile] create
//     directories and files that survive a power loss;
//   - [BrokenName] and [AppendAside] keep damaged files and records;
//   - [MarkFull] and [ProbeRoom] detect a full disk.
package filestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gm/pkg/store"
)

// watchInterval is the interval at which Base.WatchFiles checks the files.
const watchInterval = time.Second / 2

// Base is the part of a store in files that does not depend on its engine. The
// store's own mutex guards the calls of TakeLock, ReleaseLock and AbandonLock.
type Base struct {
	Name  string       // names the store in errors, like sqlite:FILE
	Log   *slog.Logger // names the store in each line
	Watch Watch        // watches the lock while it is held

	skipped func(what string, err error)
	lost    chan struct{}
	lock    *Lock // nil if it is not held
}

// NewBase returns the Base of a store. Without a logger, it logs nothing.
// skipped is called by Skip if it is not nil.
func NewBase(name string, log *slog.Logger, skipped func(what string, err error)) *Base {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Base{Name: name, Log: log.With("store", name), skipped: skipped, lost: make(chan struct{})}
	b.Watch.log = b.Log
	return b
}

// Fail wraps err with the operation that failed and the store.
func (b *Base) Fail(operation string, err error) error {
	return fmt.Errorf("%s store %s: %w", operation, b.Name, err)
}

// Skip reports a part of the store that is set aside.
func (b *Base) Skip(what string, err error) {
	b.Log.Warn("set aside", "what", what, "err", err)
	if b.skipped != nil {
		b.skipped(what, err)
	}
}

// TakeLock takes the lock of the store, a file at path, unless the store has it
// already. name is the name of the holder, as for [TakeLock]. If another process
// has the lock, the error is the [*store.HeldError] itself.
func (b *Base) TakeLock(path, name string) error {
	if b.lock != nil {
		return nil
	}
	l, err := TakeLock(path, name)
	if held := new(store.HeldError); errors.As(err, &held) {
		return held
	}
	if err != nil {
		return b.Fail("lock", err)
	}
	if l.Left != "" {
		b.Log.Info("the store was not closed by its last holder", "holder", l.Left)
	}
	b.lock = l
	b.Watch.setLock(l)
	return nil
}

// ReleaseLock releases the lock, if the store has it.
func (b *Base) ReleaseLock() error { return b.endLock((*Lock).Release) }

// AbandonLock leaves the lock, if the store has it, as the end of the process
// does.
func (b *Base) AbandonLock() error { return b.endLock((*Lock).Abandon) }

func (b *Base) endLock(end func(*Lock) error) error {
	if b.lock == nil {
		return nil
	}
	b.Watch.setLock(nil)
	l := b.lock
	b.lock = nil
	return end(l)
}

// Lost returns the channel for [store.Locker]. It is never closed: a file's lock
// lasts as long as the process.
func (b *Base) Lost() <-chan struct{} { return b.lost }

// WatchFiles checks every half second that the files are in their place, until
// ctx ends. The Watch logs a change. If also is not nil, it is called after each
// check.
func (b *Base) WatchFiles(ctx context.Context, also func()) {
	everyInterval(ctx, watchInterval, func() {
		_ = b.Watch.Check()
		if also != nil {
			also()
		}
	})
}

// SyncEvery calls sync at each interval, or each second if the interval is not
// above 0, until ctx ends. It logs errors.
func (b *Base) SyncEvery(ctx context.Context, interval time.Duration, sync func() error) {
	everyInterval(ctx, cmp.Or(max(interval, 0), time.Second), func() {
		if err := sync(); err != nil {
			b.Log.Error("sync failed", "err", err)
		}
	})
}

// everyInterval calls f at each interval until ctx ends.
func everyInterval(ctx context.Context, interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}
