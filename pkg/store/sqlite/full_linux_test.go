package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
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

// filling is a store on a full disk, and the jobs that it accepted.
type filling struct {
	*testing.T
	s       *Store
	payload []byte
	seq     uint64
	taken   []uint64
}

// fill commits jobs until they are refused.
func (f *filling) fill() {
	f.Helper()
	for {
		var batch []store.Op
		for range 20 {
			f.seq++
			batch = append(batch, add(f.seq, "f", fmt.Sprint("unique ", f.seq*7919%1_000_003), string(f.payload)))
		}
		err := f.s.Commit(f.Context(), batch)
		if errors.Is(err, store.ErrFull) {
			return
		}
		if err != nil {
			f.Fatalf("commit: got %v, want %v", err, store.ErrFull)
		}
		for _, op := range batch {
			f.taken = append(f.taken, op.Record.Seq)
		}
	}
}

// done ends all jobs, so many at a time.
func (f *filling) done(many int) {
	f.Helper()
	for len(f.taken) > 0 {
		n := min(many, len(f.taken))
		var batch []store.Op
		for _, seq := range f.taken[:n] {
			batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: seq}})
		}
		if err := f.s.Commit(f.Context(), batch); err != nil {
			f.Fatalf("done on a full disk: %v", err)
		}
		f.taken = f.taken[n:]
	}
}

// check checks that all that was taken is there, and nothing else.
func (f *filling) check() {
	f.Helper()
	i := 0
	err := f.s.Replay(f.Context(), func(r *store.Record) error {
		if i >= len(f.taken) || r.Seq != f.taken[i] || !bytes.Equal(r.Payload, f.payload) {
			return fmt.Errorf("job %d is not what was taken as number %d", r.Seq, i)
		}
		i++
		return nil
	})
	if err != nil || i != len(f.taken) {
		f.Fatalf("replay: got %d jobs, %v, want %d", i, err, len(f.taken))
	}
}

// TestFullDisk fills a disk with jobs and sees that those that were taken can
// be done, and others taken again: with room on the disk, and without.
func TestFullDisk(t *testing.T) {
	for _, tc := range []struct{ disk, size, many int }{
		{12 << 20, 100, 97},
		{12 << 20, 1500, 1000},
		{12 << 20, 60_000, 30},
		{24 << 20, 100, 20_000}, // of jobs all over the index
		{60 << 20, 3000, 97},
	} {
		t.Run(fmt.Sprintf("%d on %d", tc.size, tc.disk), func(t *testing.T) {
			disk := smallDisk(t, tc.disk)
			file, other, rest := filepath.Join(disk, "queue.db"), filepath.Join(disk, "other"), filepath.Join(disk, "rest")
			f := filling{T: t, s: open(t, file), payload: bytes.Repeat([]byte("p"), tc.size)}
			defer func() { _ = f.s.Close() }()
			fillFile(t, other, tc.disk/3)
			f.fill()
			if got := len(f.taken) * tc.size; tc.size > 1000 && got < tc.disk/6 {
				t.Errorf("only %d bytes were taken", got)
			}
			f.check()

			// Something else takes the rest of the disk.
			fillFile(t, rest, 1<<30)
			f.fill()
			f.check()
			for round := range 5 {
				f.done(tc.many)
				f.fill()
				if len(f.taken) == 0 {
					t.Fatalf("round %d: nothing can be taken though all is done", round)
				}
				f.check()
			}
			crash(t, f.s)
			f.s = open(t, file)
			f.check()
			f.done(tc.many)
			f.fill()
			f.check()

			// And with room on the disk again.
			if err := os.Remove(other); err != nil {
				t.Fatal(err)
			}
			before := len(f.taken)
			f.fill()
			if len(f.taken) == before {
				t.Errorf("nothing can be taken though the disk has room again")
			}
			f.check()
			if err := f.s.Close(); err != nil {
				t.Fatal(err)
			}
			f.s = open(t, file)
			f.check()
			if err := f.s.Close(); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{other, rest} {
				if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			verifyFile(t, file)
		})
	}
}

// TestOpenOnFullDisk opens a database on a disk that is full to the last byte:
// its jobs are handed out and done, others are refused, and taken again when the
// disk has room.
func TestOpenOnFullDisk(t *testing.T) {
	for _, tc := range []struct {
		name  string
		leave func(t *testing.T, s *Store, file string)
	}{
		{"closed", func(t *testing.T, s *Store, _ string) {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}},
		{"killed", func(t *testing.T, s *Store, _ string) { crash(t, s) }},
		{"machine ended", func(t *testing.T, s *Store, file string) {
			crash(t, s)
			if err := os.Remove(file + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			disk := smallDisk(t, 12<<20)
			file, rest := filepath.Join(disk, "queue.db"), filepath.Join(disk, "rest")
			f := filling{T: t, s: open(t, file), payload: bytes.Repeat([]byte("p"), 1500)}
			for range 50 {
				var batch []store.Op
				for range 20 {
					f.seq++
					batch = append(batch, add(f.seq, "f", fmt.Sprint("unique ", f.seq*7919%1_000_003), string(f.payload)))
					f.taken = append(f.taken, f.seq)
				}
				commit(t, f.s, batch...)
			}
			tc.leave(t, f.s, file)
			for range 3 { // the file system may have a little left
				fillFile(t, rest, 1<<30)
			}
			f.s = open(t, file)
			f.check()
			if got, err := f.s.ReadPayload(t.Context(), &store.Record{Seq: 7}); err != nil || !bytes.Equal(got, f.payload) {
				t.Errorf("payload: %d bytes, %v", len(got), err)
			}
			for range 10 {
				var batch []store.Op
				for _, seq := range f.taken[:50] {
					batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: seq}})
				}
				if err := f.s.Commit(t.Context(), batch); err != nil {
					t.Fatalf("done on a full disk: %v", err)
				}
				f.taken = f.taken[50:]
			}
			f.check()
			if err := f.s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
				t.Error(err)
			}
			crash(t, f.s)
			f.s = open(t, file)
			f.check()
			if err := os.Remove(rest); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(10 * time.Second); ; {
				f.seq++
				err := f.s.Commit(t.Context(), []store.Op{add(f.seq, "f", "", string(f.payload))})
				if err == nil {
					f.taken = append(f.taken, f.seq)
					break
				}
				if !errors.Is(err, store.ErrFull) || time.Now().After(end) {
					t.Fatalf("add with room on the disk: %v", err)
				}
			}
			f.check()
			if err := f.s.Close(); err != nil {
				t.Fatal(err)
			}
			verifyFile(t, file)
		})
	}
}
