package sqlite

import (
	"context"
	"os"
)

// TryLock implements store.Locker. The lock excludes other servers of gm, but
// not other programs that use the file, such as sqlite3.
func (s *Store) TryLock(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.base.Fail("lock", os.ErrClosed)
	}
	return s.lockFile(name)
}

// Lost implements store.Locker. The channel is never closed: a file's lock
// lasts as long as the process.
func (s *Store) Lost() <-chan struct{} { return s.base.Lost() }

// lockFile locks the file, unless this store has the lock already. mu is held.
func (s *Store) lockFile(name string) error { return s.base.TakeLock(s.path+".lock", name) }
