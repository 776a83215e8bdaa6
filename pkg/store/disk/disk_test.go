package disk

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"gm/pkg/store"
	"gm/pkg/store/disk/fsys"
	"gm/pkg/store/storetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// openDir opens the store in dir. Any record that it sets aside fails the test.
func openDir(t testing.TB, dir string) *Store {
	t.Helper()
	return openWith(t, Config{Dir: dir, Skipped: func(what string, err error) { t.Errorf("set aside: %s: %v", what, err) }})
}

func openWith(t testing.TB, c Config) *Store {
	t.Helper()
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// abandon leaves a store as the end of its process would.
func abandon(s *Store) {
	s.cancel()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.engine != nil {
		s.engine.Abandon()
	}
	if s.wal != nil {
		_ = s.wal.close()
	}
	_ = s.base.AbandonLock()
}

// closeSound checks a store, closes it, and verifies its file.
func closeSound(t testing.TB, s *Store, dir string) {
	t.Helper()
	if err := s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	verifyFile(t, filepath.Join(dir, "queue.db"))
}

// verifyFile has both bbolt and this package look at a file that nobody has
// open.
func verifyFile(t testing.TB, path string) {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, err := verifyJobs(f); err != nil {
		t.Errorf("verify: %v", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatalf("open with bbolt: %v", err)
	}
	defer db.Close()
	_ = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("bbolt's check: %v", err)
		}
		return nil
	})
}

func TestSuite(t *testing.T) {
	for _, sync := range []store.Sync{store.SyncAlways, store.SyncInterval} {
		t.Run(string(sync), func(t *testing.T) {
			if sync != store.SyncAlways && testing.Short() {
				t.Skip("the same but for the sync, and -short")
			}
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Place {
				t.Parallel() // its tests mostly wait for the disk
				return suitePlace(t, sync)
			})
		})
	}
}

func suitePlace(t *testing.T, sync store.Sync) storetest.Place {
	dir := t.TempDir()
	return storetest.Place{
		Open: func(t testing.TB) store.Store {
			return openWith(t, Config{Dir: dir, Sync: sync, Skipped: func(what string, err error) {
				t.Errorf("set aside: %s: %v", what, err)
			}})
		},
		Crash: func(_ testing.TB, s store.Store) { abandon(s.(*Store)) },
		Fail: func(_ testing.TB, s store.Store) func() {
			d := s.(*Store)
			d.reserve = func(*os.File, int64, int64) error { return syscall.ENOSPC }
			return func() { d.reserve = fsys.Reserve }
		},
		Size: func(t testing.TB) int64 {
			info, err := os.Stat(filepath.Join(dir, "queue.db"))
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		},
		Verify: func(t testing.TB) { verifyFile(t, filepath.Join(dir, "queue.db")) },
	}
}

// openLogged opens a store whose log is written to w.
func openLogged(t testing.TB, c Config, w io.Writer) *Store {
	t.Helper()
	c.Logger = slog.New(slog.NewTextHandler(w, nil))
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
