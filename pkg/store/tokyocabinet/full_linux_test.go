//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"gm/pkg/store"
)

// TestFullDisk fills a disk, and frees it.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("a small disk can't be mounted here: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	file, filler := filepath.Join(dir, "queue.tch"), filepath.Join(dir, "filler")
	s := open(t, file)
	commit(t, s, add(1, "f", "first", "p"))
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{`f "first" "p" p1 at 0 tried 0`}
	payload := string(bytes.Repeat([]byte("p"), 100_000))
	refused := 0
	for seq := uint64(2); refused < 5 && seq < 1000; seq++ {
		err := s.Commit(t.Context(), []store.Op{add(seq, "f", fmt.Sprint("u", seq), payload)})
		switch {
		case errors.Is(err, store.ErrFull):
			refused++
		case err != nil:
			t.Fatalf("commit to a full disk: got %v, want %v", err, store.ErrFull)
		default:
			want = append(want, fmt.Sprintf("f \"u%d\" %q p1 at 0 tried 0", seq, payload))
		}
	}
	if refused == 0 {
		t.Fatal("the disk does not get full")
	}
	if _, err := s.ReadPayload(t.Context(), &store.Record{Seq: 1, Function: "f", Unique: "first"}); err != nil {
		t.Errorf("payload from a full disk: %v", err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	commit(t, s, add(2000, "f", "last", "p"))
	want = append(want, `f "last" "p" p1 at 0 tried 0`)
	crash(t, s)
	s = open(t, file)
	compare(t, "jobs", jobsIn(t, s), want)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
