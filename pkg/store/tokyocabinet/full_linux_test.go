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
func TestFullDisk(t *testing.T) { eachKind(t, testFullDisk) }

func testFullDisk(t *testing.T, name string) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("a small disk can't be mounted here: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	file, filler := filepath.Join(dir, name), filepath.Join(dir, "filler")
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
// disk has room.
func TestOpenOnFullDisk(t *testing.T) { eachKind(t, testOpenOnFullDisk) }

func testOpenOnFullDisk(t *testing.T, name string) {
	for _, tc := range []struct {
		killed bool
		free   int // bytes: none, or some but not enough for a new database
	}{{false, 0}, {true, 0}, {true, 600 << 10}} {
		t.Run(fmt.Sprintf("killed %v, %d bytes free", tc.killed, tc.free), func(t *testing.T) {
			killed := tc.killed
			dir := t.TempDir()
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=12m"); err != nil {
				t.Skipf("a small disk can't be mounted here: %v", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
			file, rest := filepath.Join(dir, name), filepath.Join(dir, "rest")
			s := open(t, file)
			var waiting []store.Op
			for seq := range uint64(1000) {
				waiting = append(waiting, add(seq+1, "f", fmt.Sprint("u", seq), "payload"))
			}
			commit(t, s, waiting...)
			if killed {
				// The last batch is in the journal of a hash database, not in it.
				before, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, op := range waiting[:100] {
					commit(t, s, storeDone(*op.Record))
				}
				waiting = waiting[100:]
				crash(t, s)
				if filepath.Ext(name) == ".tch" {
					if err := os.WriteFile(file, before, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			} else if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := fillDisk(rest, tc.free); err != nil {
				t.Fatal(err)
			}
			s = open(t, file)
			t.Cleanup(func() { _ = s.Close() })
			if n := len(jobsIn(t, s)); n != len(waiting) {
				t.Fatalf("got %d jobs, want %d", n, len(waiting))
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

// TestDiskFullInCommit fills a disk to the last pages in the middle of a commit,
// when part of the log of the transaction is written or none: the batch is not
// there, and all else is.
func TestDiskFullInCommit(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("a small disk can't be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	file, filler := filepath.Join(dir, "queue.tcb"), filepath.Join(dir, "filler")
	s := open(t, file)
	t.Cleanup(func() { _ = s.Close() })
	payload := string(bytes.Repeat([]byte("p"), 300))
	var batch []store.Op
	for seq := range uint64(2000) {
		batch = append(batch, add(seq+1, "f", fmt.Sprint("u", seq*7919%2000), payload))
	}
	commit(t, s, batch...)
	want := jobsIn(t, s)
	refused := 0
	for free := range 60 {
		s.failPut = func() error {
			s.failPut = nil
			return fillDisk(filler, free*8<<10)
		}
		batch := batch[:0:0]
		for i := range uint64(40) {
			seq := 10_000 + uint64(free)*100 + i
			batch = append(batch, add(seq, "f", fmt.Sprint("u", i*50, "-", free), payload))
		}
		err := s.Commit(t.Context(), batch)
		switch {
		case errors.Is(err, store.ErrFull):
			refused++
		case err != nil:
			t.Fatalf("%d KiB free: got %v, want %v", free*8, err, store.ErrFull)
		default:
			want = append(want, jobsIn(t, s)[len(want):]...)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		compare(t, fmt.Sprintf("%d KiB free", free*8), jobsIn(t, s), want)
		if err := s.Check(t.Context(), func(what string) { t.Errorf("%d KiB free: check: %s", free*8, what) }); err != nil || t.Failed() {
			t.Fatal(err)
		}
	}
	t.Logf("%d batches of 60 were refused", refused)
	if refused < 5 {
		t.Errorf("%d batches were refused, want 5 or more", refused)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	verifyFile(t, file)
}

// fillDisk writes a file that leaves so many bytes of the disk.
func fillDisk(file string, free int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	size := int64(0)
	for b := make([]byte, 64<<10); len(b) > 0; {
		n, err := f.Write(b)
		size += int64(n)
		if err != nil {
			b = b[:len(b)/2]
		}
	}
	return errors.Join(f.Truncate(max(0, size-int64(free))), f.Close())
}

// TestLibraryLock checks that the library has its lock on the file as long as the
// store is open: it keeps gearmand out.
func TestLibraryLock(t *testing.T) {
	eachKind(t, func(t *testing.T, name string) {
		file := filepath.Join(t.TempDir(), name)
		for _, when := range []string{"new", "closed", "killed", "compacted"} {
			s := open(t, file)
			commit(t, s, add(uint64(1000+len(when)), "f", when, "payload"))
			if when == "compacted" {
				if err := s.Compact(t.Context()); err != nil {
					t.Error(err)
				}
			}
			var info syscall.Stat_t
			if err := syscall.Stat(file, &info); err != nil {
				t.Fatal(err)
			}
			locks, err := os.ReadFile("/proc/locks")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(locks, fmt.Appendf(nil, ":%d ", info.Ino)) {
				t.Errorf("%s: no lock on inode %d", when, info.Ino)
			}
			if when == "closed" {
				crash(t, s)
			} else if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
