package disk

import (
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/internal/filestore"
)

// failingReader reads from a file, or fails as a disk does.
type failingReader struct {
	file *os.File
	fail *atomic.Bool
}

func (r *failingReader) ReadAt(b []byte, offset int64) (int, error) {
	if r.fail.Load() {
		return 0, syscall.EIO
	}
	return r.file.ReadAt(b, offset)
}

// TestReadError has the system fail to read: the reader gets the error, no job is
// set aside, and the next reading has all jobs.
func TestReadError(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	var fail atomic.Bool
	s.files.Reader = func(f *os.File) io.ReaderAt { return &failingReader{f, &fail} }
	var batch []store.Op
	for seq := range uint64(500) {
		batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{Seq: seq + 1, Function: "f", Payload: make([]byte, 300)}})
	}
	batch = append(batch, store.Op{Kind: store.Put, Key: "k", Value: []byte("v")})
	if err := s.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s); n != 500 {
		t.Fatalf("got %d jobs, want 500", n)
	}
	fail.Store(true)
	for what, err := range map[string]error{
		"replay": s.Replay(t.Context(), func(*store.Record) error { return nil }),
		"heads":  s.ReplayHeads(t.Context(), func(*store.Record, int) error { return nil }),
		"extras": s.Extras(t.Context(), "", func(string, []byte) error { return nil }),
		"check":  s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }),
	} {
		if !boltfile.IsReadError(err) {
			t.Errorf("%s: got %v, want an error of the system", what, err)
		}
	}
	if _, err := s.ReadPayload(t.Context(), &store.Record{Seq: 1}); !boltfile.IsReadError(err) {
		t.Errorf("payload: got %v, want an error of the system", err)
	}
	fail.Store(false)
	if n := count(t, s); n != 500 {
		t.Errorf("got %d jobs after the error, want 500", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A file that can't be read when the store is opened is not salvaged.
	f, err := os.OpenFile(s.file(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.prepareFile(f); !boltfile.IsReadError(err) {
		t.Errorf("open: got %v, want an error of the system", err)
	}
	_ = f.Close()
	if kept := filestore.BrokenFiles(s.file()); len(kept) > 0 {
		t.Errorf("set aside: %v", kept)
	}
}
