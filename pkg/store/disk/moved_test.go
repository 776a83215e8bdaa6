package disk

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/storetest"
)

func TestMoved(t *testing.T) {
	t.Parallel()
	storetest.RunMoved(t, func(t *testing.T, dir string) store.Store { return openDir(t, dir) },
		"queue.db", "queue.log.0", "queue.log.1", "lock")
}

func TestLastNumber(t *testing.T) {
	dir := t.TempDir()
	storetest.RunLastNumber(t, func(t *testing.T) store.Store { return openDir(t, dir) }, func(s store.Store) { abandon(s.(*Store)) })
}

func TestModes(t *testing.T) {
	storetest.RunModes(t, func(t *testing.T, dir string) store.Store { return openDir(t, dir) }, "queue.db")
}

// TestDirectoryMade sees that a store makes its directory and the parents of it
// for its user only.
func TestDirectoryMade(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "a")
	dir := filepath.Join(parent, "b", "c")
	s := openDir(t, dir)
	defer s.Close()
	if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: &store.Record{Seq: 1, Function: "f"}}}); err != nil {
		t.Fatal(err)
	}
	for _, made := range []string{parent, filepath.Dir(dir), dir} {
		if info, err := os.Stat(made); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v, want one of the user's only", made, info.Mode(), err)
		}
	}
}

// TestShrinksWhenIdle drains a large file and commits nothing more: the file
// becomes small.
func TestShrinksWhenIdle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openDir(t, dir)
	defer s.Close()
	var done []store.Op
	for seq := range uint64(compactAbove / (1 << 20) * 2) {
		r := &store.Record{Seq: seq + 1, Function: "f", Payload: make([]byte, 1<<20)}
		if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: r}}); err != nil {
			t.Fatal(err)
		}
		done = append(done, store.Op{Kind: store.Done, Record: &store.Record{Seq: seq + 1, Function: "f"}})
	}
	if err := s.Commit(t.Context(), done); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := os.Stat(s.file())
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() < compactAbove/4 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the file has %d bytes after 30 s", info.Size())
		}
	}
}
