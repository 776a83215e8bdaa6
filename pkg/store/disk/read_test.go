package disk

import (
	"os"
	"testing"

	"gm/pkg/store"
)

// TestReadError sees that an error of the system is one of whoever reads: the
// jobs are not set aside, and the next reading has them.
func TestReadError(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
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
	writeOnly, err := os.OpenFile(s.file(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer writeOnly.Close()
	whole := s.engine.file
	s.engine.file = writeOnly
	for what, err := range map[string]error{
		"replay": s.Replay(t.Context(), func(*store.Record) error { return nil }),
		"heads":  s.ReplayHeads(t.Context(), func(*store.Record, int) error { return nil }),
		"extras": s.Extras(t.Context(), "", func(string, []byte) error { return nil }),
		"check":  s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }),
	} {
		if !isReadError(err) {
			t.Errorf("%s: got %v, want an error of the system", what, err)
		}
	}
	if _, err := s.ReadPayload(t.Context(), &store.Record{Seq: 1}); !isReadError(err) {
		t.Errorf("payload: got %v, want an error of the system", err)
	}
	s.engine.file = whole
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
	if err := s.prepare(f); !isReadError(err) {
		t.Errorf("open: got %v, want an error of the system", err)
	}
	_ = f.Close()
	if kept := s.broken(); len(kept) > 0 {
		t.Errorf("set aside: %v", kept)
	}
}
