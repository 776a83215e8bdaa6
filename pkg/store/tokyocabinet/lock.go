//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"os"
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
func (s *Store) take(name string) (err error) {
	if s.lock == nil {
		s.lock, err = s.watch.TakeLock(s.path+".lock", name)
	}
	return err
}
