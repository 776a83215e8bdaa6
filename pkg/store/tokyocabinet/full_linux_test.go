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

// TestOpenOnFullDisk opens a database on a disk that is full to the last byte:
// its jobs are handed out and done, others are refused, and taken again when the
// disk has room. One that was not closed says that it needs room.
func TestOpenOnFullDisk(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
				t.Skipf("a small disk can't be mounted here: %v", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
			file, rest := filepath.Join(dir, "queue.tch"), filepath.Join(dir, "rest")
			s := open(t, file)
			var waiting []store.Op
			for seq := range uint64(1000) {
				waiting = append(waiting, add(seq+1, "f", fmt.Sprint("u", seq), "payload"))
			}
			commit(t, s, waiting...)
			if killed {
				crash(t, s)
			} else if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(rest)
			if err != nil {
				t.Fatal(err)
			}
			for b := make([]byte, 64<<10); len(b) > 0; {
				if _, err := f.Write(b); err != nil {
					b = b[:len(b)/2]
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, file)
			t.Cleanup(func() { _ = s.Close() })
			if killed {
				if err := s.Replay(t.Context(), func(*store.Record) error { return nil }); !errors.Is(err, store.ErrFull) {
					t.Fatalf("killed: got %v, want %v", err, store.ErrFull)
				}
				if err := os.Remove(rest); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(jobsIn(t, s)); n != len(waiting) {
				t.Fatalf("got %d jobs, want %d", n, len(waiting))
			}
			if killed {
				return
			}
			if err := s.Commit(t.Context(), []store.Op{add(5000, "f", "large", string(make([]byte, 1<<20)))}); !errors.Is(err, store.ErrFull) {
				t.Errorf("add on a full disk: got %v, want %v", err, store.ErrFull)
			}
			for ; len(waiting) > 500; waiting = waiting[50:] {
				var batch []store.Op
				for _, op := range waiting[:50] {
					batch = append(batch, storeDone(*op.Record))
				}
				if err := s.Commit(t.Context(), batch); err != nil {
					t.Fatalf("done on a full disk: %v", err)
				}
			}
			if err := os.Remove(rest); err != nil {
				t.Fatal(err)
			}
			commit(t, s, add(5001, "f", "last", "payload"))
			if n := len(jobsIn(t, s)); n != len(waiting)+1 {
				t.Errorf("got %d jobs, want %d", n, len(waiting)+1)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			verifyFile(t, file)
		})
	}
}
