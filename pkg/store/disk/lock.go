package disk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// TryLock implements store.Locker.
func (s *Store) TryLock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("store disk:%s: %w", s.cfg.Dir, os.ErrClosed)
	}
	return s.lockDir(name)
}

// lockDir locks the directory, unless this store has the lock already. mu is held.
func (s *Store) lockDir(name string) error {
	return s.base.TakeLock(filepath.Join(s.cfg.Dir, "lock"), name)
}
