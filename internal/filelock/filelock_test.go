package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := Lock(first); err != nil {
		t.Fatalf("first lock: got %v, want none", err)
	}
	if err := Lock(second); !errors.Is(err, ErrHeld) {
		t.Errorf("second lock: got %v, want ErrHeld", err)
	}
	first.Close()
	if err := Lock(second); err != nil {
		t.Errorf("lock after the first file was closed: got %v, want none", err)
	}
}
