package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gm/pkg/store"
	"gm/pkg/store/lockfile"
)

// TryLock implements store.Locker.
func (s *Store) TryLock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("store disk:%s: %w", s.cfg.Dir, os.ErrClosed)
	}
	return s.take(name)
}

// take takes the directory, unless this store has it already. mu is held.
func (s *Store) take(name string) error {
	if s.lock != nil {
		return nil
	}
	f, err := lockfile.Take(filepath.Join(s.cfg.Dir, "lock"), name)
	if held := new(store.HeldError); errors.As(err, &held) {
		return held
	}
	if err != nil {
		return fmt.Errorf("lock store disk:%s: %w", s.cfg.Dir, err)
	}
	s.lock = f
	s.watch.SetLock(f)
	if f.Left != "" {
		s.cfg.Logger.Info("the store was not closed by its last holder", "store", "disk:"+s.cfg.Dir, "holder", f.Left)
	}
	return nil
}
