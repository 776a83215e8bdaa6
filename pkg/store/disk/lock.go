package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gm/pkg/store"
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
	f, err := os.OpenFile(filepath.Join(s.cfg.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("lock store: %w", err)
	}
	if err := flock(f); err != nil {
		holder := readHolder(f)
		_ = f.Close()
		if errors.Is(err, errHeld) {
			return &store.HeldError{By: holder}
		}
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	// What the file says is for people: the lock is the system's.
	host, _ := os.Hostname()
	holder := fmt.Sprintf("%s (pid %d on %s, since %s)\n", name, os.Getpid(), host, time.Now().Format(time.RFC3339))
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(holder), 0)
	}
	s.lock = f
	return nil
}

func readHolder(f *os.File) string {
	b, _ := io.ReadAll(io.LimitReader(f, 500))
	if holder := strings.TrimSpace(string(b)); holder != "" {
		return holder
	}
	return "another process"
}
