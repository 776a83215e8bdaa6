package filestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	"gm/pkg/store"
)

func TestTakeLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for _, tc := range []struct {
		name string
		want string // the name for others
	}{
		{"gm serve on db1, pid 7", `^gm serve on db1, pid 7, since 20[0-9-]+T[0-9:]+Z$`},
		{"short", `^short, since 20[0-9-]+T[0-9:]+Z$`}, // nothing is left of the longer one
		{"", fmt.Sprintf(`^gm, pid %d, since 20[0-9-]+T[0-9:]+Z$`, os.Getpid())},
	} {
		f, err := TakeLock(path, tc.name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = TakeLock(path, "other")
		held := new(store.HeldError)
		if !errors.As(err, &held) || !regexp.MustCompile(tc.want).MatchString(held.By) {
			t.Errorf("taken by %q: got %v, want a holder like %s", tc.name, err, tc.want)
		}
		if err := f.Abandon(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("after Abandon: %v", err)
		}
	}
	f, err := TakeLock(path, "last")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Release(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Release: got %v, want no file", err)
	}
	if f, err := TakeLock(filepath.Join(path, "below", "no", "directory"), ""); err == nil {
		t.Errorf("without a directory: got %v, nil", f)
	}
}

// TestOneHolder has several take and release the lock, whose file comes and
// goes meanwhile.
func TestOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var holders, taken atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for taken.Load() < 500 {
				f, err := TakeLock(path, "")
				if held := new(store.HeldError); errors.As(err, &held) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				taken.Add(1)
				holders.Add(-1)
				if err := f.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
