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
		return s.base.Fail("lock", os.ErrClosed)
	}
	return s.lockFile(name)
}

// Lost implements store.Locker. The channel is never closed: a file's lock
// lasts as long as the process.
func (s *Store) Lost() <-chan struct{} { return s.base.Lost() }

// lockFile locks the file, unless this store has the lock already. commitMu is
// held.
func (s *Store) lockFile(name string) error { return s.base.TakeLock(s.path+".lock", name) }
