//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"gm/pkg/store"
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

// take takes the lock, unless this store has it already. commitMu is
// held.
func (s *Store) take(name string) error {
	if s.lock != nil {
		return nil
	}
	f, err := takeFile(s.path + ".lock")
	if held := new(store.HeldError); errors.As(err, &held) {
		return held
	}
	if err != nil {
		return s.fail("lock", err)
	}
	// What the file says is for people: the lock is the system's.
	holder := fmt.Sprintf("%s, since %s\n", name, time.Now().Format(time.RFC3339))
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(holder), 0)
	}
	s.lock = f
	return nil
}

// takeFile takes the file at path for this process. Its last holder may have
// removed it between our opening and taking it: then it is made anew.
func takeFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock(f); err != nil {
			holder := readHolder(f)
			_ = f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, &store.HeldError{By: holder}
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		ours, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			return f, nil
		}
		_ = f.Close()
	}
}

// flock takes f. The system gives it up when f is closed or the process ends.
func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// unlock removes f and gives it up.
func unlock(f *os.File) error {
	_ = os.Remove(f.Name())
	return f.Close()
}

func readHolder(f *os.File) string {
	b, _ := io.ReadAll(io.LimitReader(f, 500))
	if holder := strings.TrimSpace(string(b)); holder != "" {
		return holder
	}
	return "another process"
}
