package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMoved(t *testing.T) {
	storetest.RunMoved(t, func(t *testing.T, dir string) store.Store { return open(t, filepath.Join(dir, "queue.db")) },
		"queue.db", "queue.db-wal", "queue.db.lock")
}

func TestLastNumber(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.db")
	storetest.RunLastNumber(t, func(t *testing.T) store.Store { return open(t, file) }, func(s store.Store) { crash(t, s.(*Store)) })
}

func TestModes(t *testing.T) {
	storetest.RunModes(t, func(t *testing.T, dir string) store.Store { return open(t, filepath.Join(dir, "queue.db")) }, "queue.db")
}

// TestOddNames checks that every name that a file can have is that of its
// database.
func TestOddNames(t *testing.T) {
	for _, name := range []string{"a b", "a+b", "a?b=c&mode=memory", "a#b", "a%20b", "a'b", "\xff", ":memory:", "file:x"} {
		dir := filepath.Join(t.TempDir(), name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name)
		s := open(t, file)
		commit(t, s, add(1, "f", "", "payload"))
		if _, err := os.Stat(file + "-wal"); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%q: the database is not there: %v", name, err)
		}
		s = open(t, file)
		if n := len(jobsIn(t, s)); n != 1 {
			t.Errorf("%q: got %d jobs, want 1", name, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
