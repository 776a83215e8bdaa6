package sqlite

import (
	"context"
	"errors"
	"os"

	"gm/pkg/store"
	"gm/pkg/store/lockfile"
)

// TryLock implements store.Locker. The lock keeps out other servers of gm, not
// other programs that read the file, such as sqlite3.
func (s *Store) TryLock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.fail("lock", os.ErrClosed)
	}
	return s.take(name)
}

// Lost implements store.Locker. It is never closed: a lock on a file goes with
// the process.
func (s *Store) Lost() <-chan struct{} { return s.lost }

// take takes the lock, unless this store has it already. mu is held.
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
		s.cfg.Logger.Info("the store was not closed by its last holder", "store", "sqlite:"+s.cfg.File, "holder", f.Left)
	}
	return nil
}
