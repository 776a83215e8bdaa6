//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

// eachKind runs f for each kind of database, with a file name of it.
func eachKind(t *testing.T, f func(t *testing.T, name string)) {
	for _, name := range []string{"queue.tch", "queue.tcb"} {
		t.Run(name, func(t *testing.T) { f(t, name) })
	}
}

func TestSuite(t *testing.T) {
	eachKind(t, func(t *testing.T, name string) {
		storetest.Run(t, func(t *testing.T) storetest.Place {
			file := filepath.Join(t.TempDir(), name)
			return storetest.Place{
				Open:   func(t testing.TB) store.Store { return open(t, file) },
				Crash:  func(t testing.TB, s store.Store) { crash(t, s.(*Store)) },
				Fail:   func(_ testing.TB, s store.Store) func() { return failPuts(s.(*Store)) },
				Size:   func(t testing.TB) int64 { return sizeOf(t, file) },
				Verify: func(t testing.TB) { verifyFile(t, file) },
			}
		})
	})
}

// open opens a store in which nothing may be broken.
func open(t testing.TB, file string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{File: file, Skipped: func(what string, err error) {
		t.Errorf("set aside: %s: %v", what, err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// crash leaves s as the end of its process would.
func crash(t testing.TB, s *Store) {
	t.Helper()
	s.endWatching()
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.db != nil {
		err := s.db.abandon()
		if s.journal != nil {
			err = errors.Join(err, s.journal.file.Close())
		}
		if err != nil {
			t.Error(err)
		}
		s.db, s.journal = nil, nil
	}
	_ = s.base.AbandonLock()
}

// failPuts makes the database fail in the middle of a batch.
func failPuts(s *Store) (restore func()) {
	set := func(f func() error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failPut = f
	}
	n := 0
	set(func() error {
		if n++; n%10 == 0 {
			return os.ErrInvalid
		}
		return nil
	})
	return func() { set(nil) }
}

func sizeOf(t testing.TB, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// verifyFile checks that the database is valid, and the only file of the store.
func verifyFile(t testing.TB, file string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := f.Name(); name != filepath.Base(file) {
			t.Errorf("left behind: %s", name)
		}
	}
	if len(files) == 0 {
		return // nothing was ever asked of it
	}
	x, err := openTable(file)
	if err != nil {
		t.Fatal(err)
	}
	defer x.closeFile()
	if x.open {
		t.Error("the database was not closed")
	}
	if want := filepath.Ext(file) == ".tcb"; x.isTree != want {
		t.Errorf("it is a tree: got %v, want %v", x.isTree, want)
	}
	if err := x.verify(func(*record, *entry) {}); err != nil {
		t.Errorf("verify: %v", err)
	}
}
