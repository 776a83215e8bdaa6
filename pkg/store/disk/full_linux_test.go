package disk

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

// smallDisk mounts a file system of that size.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprint("size=", size)); err != nil {
		t.Skipf("a small file system can't be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// TestFullDisk fills a disk with jobs and sees that those that were taken can
// be done, and others taken again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, size := range []int{100, 1500, 2100, 3000, 60_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			disk := smallDisk(t, 12<<20+2*walSize)
			dir := filepath.Join(disk, "data")
			s := openDir(t, dir)
			t.Cleanup(func() { _ = s.Close() })
			payload := bytes.Repeat([]byte("x"), size)
			seq, taken := uint64(0), []uint64(nil)
			fill := func() {
				t.Helper()
				for {
					var batch []store.Op
					for range 20 {
						seq++
						batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: payload}})
					}
					err := s.Commit(t.Context(), batch)
					if errors.Is(err, store.ErrFull) {
						return
					}
					if err != nil {
						t.Fatalf("commit: %v", err)
					}
					for n := range uint64(20) {
						taken = append(taken, seq-19+n)
					}
				}
			}
			check := func() {
				t.Helper()
				i := 0
				err := s.Replay(t.Context(), func(r *store.Record) error {
					if i >= len(taken) || r.Seq != taken[i] || !bytes.Equal(r.Payload, payload) {
						return fmt.Errorf("job %d is not what was taken as number %d", r.Seq, i)
					}
					i++
					return nil
				})
				if err != nil || i != len(taken) {
					t.Fatalf("replay: got %d jobs, %v, want %d", i, err, len(taken))
				}
			}
			other, rest := filepath.Join(disk, "other"), filepath.Join(disk, "rest")
			fillFile(t, other, 4<<20)
			fill()
			if len(taken)*size < 2<<20 || size >= 3000 && len(taken)*size < 4<<20 {
				t.Errorf("only %d jobs of %d bytes were taken", len(taken), size)
			}
			check()

			// Another file takes the rest of the disk.
			fillFile(t, rest, 1<<30)
			fill()
			check()
			for round := range 5 {
				for len(taken) > 0 {
					n := min(len(taken), 97)
					var batch []store.Op
					for _, seq := range taken[:n] {
						batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: seq}})
					}
					if err := s.Commit(t.Context(), batch); err != nil {
						t.Fatalf("round %d: done on a full disk: %v", round, err)
					}
					taken = taken[n:]
				}
				before := len(taken)
				fill()
				if len(taken) == before {
					t.Fatalf("round %d: nothing can be taken though all is done", round)
				}
				check()
			}

			// And with room on the disk again.
			if err := os.Remove(other); err != nil {
				t.Fatal(err)
			}
			before := len(taken)
			fill()
			if len(taken) == before {
				t.Errorf("nothing can be taken though the disk has room again")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openDir(t, dir)
			check()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			verifyFile(t, filepath.Join(dir, "queue.db"))
		})
	}
}

// TestDoneInHalves sees that a batch which only takes away gets through where
// there is only room for a part of it at a time.
func TestDoneInHalves(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 6<<20+2*walSize)
	s := openDir(t, disk)
	defer s.Close()
	var ends []store.Op
	payload := bytes.Repeat([]byte("x"), 20_000)
	for seq := uint64(1); ; seq++ {
		r := store.Record{Seq: seq, Function: "f", Payload: payload}
		err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: &r}})
		if err != nil {
			break
		}
		if seq%2 == 0 { // so that the others must be moved together
			ends = append(ends, store.Op{Kind: store.Done, Record: &store.Record{Seq: seq}})
		}
	}
	fillFile(t, disk+"/rest", 1<<30)
	if len(ends) < 30 {
		t.Fatalf("only %d jobs were taken", 2*len(ends))
	}
	if err := s.Commit(t.Context(), ends); err != nil {
		t.Fatalf("done: %v", err)
	}
	left := 0
	err := s.Replay(t.Context(), func(r *store.Record) error {
		if r.Seq%2 == 0 {
			t.Errorf("job %d is still there", r.Seq)
		}
		left++
		return nil
	})
	if err != nil || left < len(ends) {
		t.Errorf("replay: got %d jobs, %v, want %d", left, err, len(ends))
	}
}

// fillFile writes a file of that size, or until the disk is full.
func fillFile(t *testing.T, name string, size int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 64<<10); len(b) > 0 && size > 0; size -= len(b) {
		if _, err := f.Write(b); err != nil {
			b = b[:len(b)/2]
		}
	}
}

// TestOpenOnFullDisk opens a store on a disk that is full to the last byte: its
// jobs are handed out and done, others are refused, and taken again when the
// disk has room.
func TestOpenOnFullDisk(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, s *Store){
		"closed": func(t *testing.T, s *Store) {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"killed": func(_ *testing.T, s *Store) { abandon(s) },
		"killed, and the log is removed": func(t *testing.T, s *Store) {
			if err := s.flushLog(); err != nil {
				t.Fatal(err)
			}
			abandon(s)
			if err := errors.Join(os.Remove(s.walFile(0)), os.Remove(s.walFile(1))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			disk := smallDisk(t, 24<<20)
			dir, rest := filepath.Join(disk, "data"), filepath.Join(disk, "rest")
			s := quiet(t, openDir(t, dir))
			payload := bytes.Repeat([]byte("p"), 1500)
			add := func(seq uint64) store.Op {
				return store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: payload}}
			}
			var waiting []uint64
			for range 50 {
				var batch []store.Op
				for range 20 {
					waiting = append(waiting, uint64(len(waiting)+1))
					batch = append(batch, add(uint64(len(waiting))))
				}
				if err := s.Commit(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			leave(t, s)
			for range 3 { // the file system may have a little left
				fillFile(t, rest, 1<<30)
			}
			s = openDir(t, dir)
			t.Cleanup(func() { _ = s.Close() })
			if n := count(t, s); n != len(waiting) {
				t.Fatalf("got %d jobs, want %d", n, len(waiting))
			}
			for ; len(waiting) > 500; waiting = waiting[50:] {
				var batch []store.Op
				for _, seq := range waiting[:50] {
					batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: seq}})
				}
				if err := s.Commit(t.Context(), batch); err != nil {
					t.Fatalf("done on a full disk: %v", err)
				}
			}
			if n := count(t, s); n != len(waiting) {
				t.Errorf("got %d jobs, want %d", n, len(waiting))
			}
			abandon(s)
			s = openDir(t, dir)
			if n := count(t, s); n != len(waiting) {
				t.Errorf("killed and opened again: got %d jobs, want %d", n, len(waiting))
			}
			if err := os.Remove(rest); err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(t.Context(), []store.Op{add(5000)}); err != nil {
				t.Errorf("add with room on the disk: %v", err)
			}
			closeSound(t, s, dir)
		})
	}
}
