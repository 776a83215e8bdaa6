package storetest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"gm/pkg/store"
)

// RunModes checks that only their owner can read the files of a store, which
// open opens in dir, while it is open and after it is closed, and that a file
// keeps a mode that was set by hand. main is the name of the main file.
func RunModes(t *testing.T, open func(t *testing.T, dir string) store.Store, main string) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	dir := filepath.Join(t.TempDir(), "parent", "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	use := func() {
		t.Helper()
		s := open(t, dir)
		j := &store.Record{Seq: 1, Function: "f", Payload: payload(5000)}
		for _, kind := range []store.Kind{store.Add, store.Done, store.Add} {
			if err := s.Commit(t.Context(), []store.Op{{Kind: kind, Record: j}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Replay(t.Context(), func(*store.Record) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if compacter, ok := s.(store.Compacter); ok {
			if err := compacter.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		modesIn(t, dir, main)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	use()
	modesIn(t, dir, "")
	path := filepath.Join(dir, main)
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	use()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%s: %v, %v, want the mode 660 that it was given", path, info.Mode(), err)
	}
}

// modesIn checks that all files below dir, except those of a name, are only for
// their owner, or have the mode of the file of that name.
func modesIn(t *testing.T, dir, main string) {
	t.Helper()
	allowed := os.FileMode(0o600)
	if info, err := os.Stat(filepath.Join(dir, main)); err == nil && main != "" {
		allowed |= info.Mode().Perm()
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("files of %s: %v, %v", dir, files, err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm()&^allowed != 0 {
			t.Errorf("%s has the mode %v, want %v", file.Name(), info.Mode().Perm(), allowed)
		}
	}
}
