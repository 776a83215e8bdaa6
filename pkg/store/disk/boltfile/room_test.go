package boltfile

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/disk/fsys"
)

// TestMakeRoom checks which blocks MakeRoom reserves, and its errors.
func TestMakeRoom(t *testing.T) {
	var fail error
	calls := 0
	f, _ := openNew(t, new(fsys.FS), Options{Reserve: func(*os.File, int64, int64) error { calls++; return fail }})
	before := f.Reserved()
	need := Need{Pages: 10_000, Runs: 3 << 20, Adds: true}
	missing, err := f.Missing(need)
	if err != nil || missing < need.Runs/2 { // the file has some free pages
		t.Fatalf("missing: got %d, %v, want at least %d", missing, err, need.Runs/2)
	}
	if err := f.MakeRoom(need); err != nil || f.Reserved() < before+missing {
		t.Errorf("got %v and %d reserved bytes, want at least %d", err, f.Reserved(), before+missing)
	}
	calls = 0
	if err := f.MakeRoom(need); err != nil || calls > 0 {
		t.Errorf("with room: got %v and %d calls, want none", err, calls)
	}
	need.Runs *= 100
	odd := errors.New("odd")
	for _, test := range []struct {
		fail error
		adds bool
		want error
	}{
		{syscall.ENOSPC, true, store.ErrFull},
		{syscall.ENOSPC, false, nil},
		{fsys.ErrNoReserve, true, nil},
		{odd, true, odd},
		{odd, false, nil},
	} {
		reserved := f.Reserved()
		fail, need.Adds = test.fail, test.adds
		if err := f.MakeRoom(need); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%v, adds %v: got %v, want %v", test.fail, test.adds, err, test.want)
		}
		if f.Reserved() != reserved {
			t.Errorf("%v: %d bytes are reserved, want %d", test.fail, f.Reserved(), reserved)
		}
	}
}

// TestMostlyFree fills a file and empties it.
func TestMostlyFree(t *testing.T) {
	f, _ := openNew(t, new(fsys.FS), Options{})
	key := func(i int) []byte { return fmt.Appendf(nil, "%04d", i) }
	update(t, f, "first", func(b *bolt.Bucket) error {
		for i := range 4000 {
			if err := b.Put(key(i), make([]byte, 2000)); err != nil {
				return err
			}
		}
		return nil
	})
	f.MeasureReserved()
	if f.MostlyFree() {
		t.Error("full: the file is mostly free")
	}
	update(t, f, "first", func(b *bolt.Bucket) error {
		for i := range 4000 {
			if err := b.Delete(key(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if !f.MostlyFree() {
		t.Error("empty: the file is not mostly free")
	}
}

// FuzzTree reads a file that has any bytes.
