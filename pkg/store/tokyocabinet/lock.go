//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"errors"
	"os"

	"gm/pkg/store"
	"gm/pkg/store/lockfile"
)

// TryLock implements store.Locker.
func (s *Store) TryLock(_ context.Context, name string) error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if s.closed {
		return s.fail("lock", os.ErrClosed)
	}
	return s.take(name)
}

// Lost implements store.Locker. It is never closed: a lock on a file goes with
// the process.
func (s *Store) Lost() <-chan struct{} { return s.lost }

// take takes the lock, unless this store has it already. commitMu is held.
func (s *Store) take(name string) error {
	if s.lock != nil {
		return nil
	}
	f, err := lockfile.Take(s.path+".lock", name)
	if held := new(store.HeldError); errors.As(err, &held) {
		return held
	}
	if err != nil {
		return s.fail("lock", err)
	}
	s.lock = f
	if f.Left != "" {
		s.cfg.Logger.Info("the store was not closed by its last holder", "store", "tokyocabinet:"+s.cfg.File, "holder", f.Left)
	}
	return nil
}
