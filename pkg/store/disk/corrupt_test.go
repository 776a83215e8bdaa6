package disk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
)

// metaSize is the size of the content of one of the first two pages.
const metaSize = 64

// grown is a queue's file as use makes it: jobs of many sizes, some of them
// done, and pages of older states.
type grown struct {
	file   []byte
	ever   map[uint64]*store.Record // all that were ever added
	jobs   map[uint64]bool          // those that are there
	extras map[string]string
}

// grownFile is the file that growFile has made. No test changes it.
var grownFile struct {
	sync.Mutex
	made *grown
}

// growFile returns the file that makeGrown makes. Tests share it.
func growFile(t testing.TB) *grown {
	t.Helper()
	grownFile.Lock()
	defer grownFile.Unlock()
	if grownFile.made == nil {
		grownFile.made = makeGrown(t)
	}
	return grownFile.made
}

func makeGrown(t testing.TB) *grown {
	t.Helper()
	dir := t.TempDir()
	s := openWith(t, Config{Dir: dir, Sync: store.SyncNever, Skipped: func(what string, err error) { t.Errorf("set aside: %s: %v", what, err) }})
	g := &grown{ever: make(map[uint64]*store.Record), jobs: make(map[uint64]bool), extras: make(map[string]string)}
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 10, 100, 150, 700, 1024, 2048, 2049, 5000, 40_000, 200_000}
	seq := uint64(1000)
	var waiting []uint64
	for round := range 150 {
		var batch []store.Op
		for range 1 + random.IntN(20) {
			seq++
			payload := make([]byte, sizes[random.IntN(len(sizes)-min(3, round%40))])
			for i := range payload {
				payload[i] = byte(random.Uint32())
			}
			r := &store.Record{Seq: seq, Function: "f", Unique: fmt.Sprint("u", seq), Payload: payload, Accepted: 1}
			batch = append(batch, store.Op{Kind: store.Add, Record: r})
			g.ever[seq], g.jobs[seq] = r, true
			waiting = append(waiting, seq)
		}
		for len(waiting) > 900 || random.IntN(3) == 0 {
			i := random.IntN(min(len(waiting), 40))
			batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: waiting[i]}})
			delete(g.jobs, waiting[i])
			waiting = append(waiting[:i], waiting[i+1:]...)
		}
		key, value := fmt.Sprint("extra/", round), fmt.Sprint("value of ", round)
		batch = append(batch, store.Op{Kind: store.Put, Key: key, Value: []byte(value)})
		g.extras[key] = value
		// Each is a transaction, so that the file is the same each time.
		if err := errors.Join(s.Commit(t.Context(), batch), s.flushLog()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.file, err = os.ReadFile(filepath.Join(dir, "queue.db")); err != nil {
		t.Fatal(err)
	}
	m, err := boltfile.ReadMeta(bytes.NewReader(g.file))
	if err != nil {
		t.Fatal(err)
	}
	g.file = g.file[:int64(m.High)*m.PageSize] // the bytes after it are reserved space
	return g
}

// outcome is the result of opening a damaged file.
type outcome struct {
	lost, risen int // jobs that are gone, and jobs that were done and are back
	skipped     []string
}

// open opens the file as damaged in a directory of its own, and sees that
// nothing wrong comes out of it and that it is sound from then on.
func (g *grown) open(t *testing.T, damaged []byte) outcome {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	var o outcome
	config := Config{Dir: dir, Sync: store.SyncNever, Skipped: func(what string, err error) { o.skipped = append(o.skipped, fmt.Sprint(what, ": ", err)) }}
	s := openWith(t, config)
	found := g.replay(t, s)
	for seq := range g.jobs {
		if !found[seq] {
			o.lost++
		}
	}
	for seq := range found {
		if !g.jobs[seq] {
			o.risen++
		}
	}
	extras := 0
	err := s.Extras(t.Context(), "", func(key string, value []byte) error {
		if g.extras[key] != string(value) {
			t.Errorf("extra %q: got %q, want %q", key, value, g.extras[key])
		}
		extras++
		return nil
	})
	if err != nil {
		t.Fatalf("extras: %v", err)
	}
	if (o.lost > 0 || o.risen > 0 || extras < len(g.extras)) && len(o.skipped) == 0 {
		t.Errorf("%d lost, %d back, %d of %d extras, and nothing was said", o.lost, o.risen, extras, len(g.extras))
	}

	// From now on it is a store like any other.
	next := &store.Record{Seq: 1 << 40, Function: "f", Payload: []byte("next")}
	if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: next}}); err != nil {
		t.Fatalf("commit: %v", err)
	}
	if err := s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
		t.Errorf("check: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	said := len(o.skipped)
	s = openWith(t, config)
	again := g.replay(t, s, next)
	if len(again) != len(found)+1 || len(o.skipped) != said {
		t.Errorf("second time: got %d jobs and %d reports, want %d and none: %q", len(again), len(o.skipped)-said, len(found)+1, o.skipped[said:])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	verifyFile(t, path)
	return o
}

// replay returns the jobs that Replay finds. It compares each with the job that
// was added; later are jobs that were added besides those of g.
func (g *grown) replay(t *testing.T, s *Store, later ...*store.Record) map[uint64]bool {
	t.Helper()
	found := make(map[uint64]bool)
	last := uint64(0)
	err := s.Replay(t.Context(), func(r *store.Record) error {
		want := g.ever[r.Seq]
		if i := slices.IndexFunc(later, func(l *store.Record) bool { return l.Seq == r.Seq }); i >= 0 {
			want = later[i]
		}
		if want == nil {
			t.Errorf("job %d was never added", r.Seq)
		} else if !bytes.Equal(r.Payload, want.Payload) || r.Unique != want.Unique {
			t.Errorf("job %d is not as it was added", r.Seq)
		}
		if r.Seq <= last {
			t.Errorf("job %d comes after %d", r.Seq, last)
		}
		last = r.Seq
		found[r.Seq] = true
		return nil
	})
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	return found
}

func TestByteFlipped(t *testing.T) {
	t.Parallel()
	g := growFile(t)
	var mu sync.Mutex
	bytesFlipped, lost, risen := 0, 0, 0
	flip := func(at int, by byte) {
		t.Run(fmt.Sprintf("%#x by %#x", at, by), func(t *testing.T) {
			t.Parallel()
			damaged := bytes.Clone(g.file)
			damaged[at] ^= by
			o := g.open(t, damaged)
			if o.lost > 60 || o.risen > 60 {
				t.Errorf("%d lost, %d back: too many for one page: %q", o.lost, o.risen, o.skipped)
			}
			mu.Lock()
			defer mu.Unlock()
			bytesFlipped, lost, risen = bytesFlipped+1, lost+o.lost, risen+o.risen
		})
	}
	t.Cleanup(func() {
		t.Logf("%d bytes: %d lost, %d back of %d jobs each time", bytesFlipped, lost, risen, len(g.jobs))
	})
	places, step, n := 20, 5, 60
	if testing.Short() { // the others are bytes of the same kinds
		places, step, n = 6, 19, 12
	}
	for i := range places {
		flip(i*len(g.file)/places+i*97, 0x40)
	}
	// Every word of the first pages, and headers and tables of other pages.
	random := rand.New(rand.NewPCG(3, 4))
	for i := 0; i < boltfile.HeaderSize+metaSize; i += step {
		flip(i, 1<<random.IntN(8))
		flip(4096+i, 1<<random.IntN(8))
	}
	for range n {
		page := random.IntN(len(g.file)/4096) * 4096
		flip(page+random.IntN(boltfile.HeaderSize), 1<<random.IntN(8))
		flip(page+boltfile.HeaderSize+random.IntN(300), 1<<random.IntN(8))
	}
}

func TestCutShort(t *testing.T) {
	t.Parallel()
	g := growFile(t)
	for _, size := range []int{
		1, 100, 4096, 5000, 8192, 12_345, len(g.file) / 6, len(g.file) / 3, len(g.file) / 2, len(g.file) * 2 / 3, len(g.file) * 5 / 6, len(g.file) - 1,
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			o := g.open(t, g.file[:size])
			t.Logf("%d lost, %d back of %d, %d reports", o.lost, o.risen, len(g.jobs), len(o.skipped))
		})
	}
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	g := growFile(t)
	random := rand.New(rand.NewPCG(5, 6))
	garbage := make([]byte, 100_000)
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	half := bytes.Clone(g.file)
	for i := 0; i < len(half); i += 8192 {
		copy(half[i:i+4096], garbage)
	}
	swapped := bytes.Clone(g.file)
	copy(swapped[3*4096:4*4096], g.file[7*4096:])
	copy(swapped[7*4096:8*4096], g.file[3*4096:])
	for name, damaged := range map[string][]byte{
		"garbage": garbage, "zeros": make([]byte, 50_000), "text": []byte("not a queue"), "every other page": half, "pages swapped": swapped,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := g.open(t, damaged)
			t.Logf("%d lost, %d back of %d, %d reports", o.lost, o.risen, len(g.jobs), len(o.skipped))
		})
	}
}

// TestCutWhileOpen sees that a file that loses its pages under the store is an
// error at worst.
func TestCutWhileOpen(t *testing.T) {
	g := growFile(t)
	t.Parallel()
	for _, size := range []int64{0, 4096, int64(len(g.file) / 2)} {
		dir := t.TempDir()
		path := filepath.Join(dir, "queue.db")
		if err := os.WriteFile(path, g.file, 0o600); err != nil {
			t.Fatal(err)
		}
		s := openWith(t, Config{Dir: dir, Sync: store.SyncNever})
		g.replay(t, s)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		for seq := range g.jobs {
			payload, err := s.ReadPayload(t.Context(), &store.Record{Seq: seq})
			if err == nil && !bytes.Equal(payload, g.ever[seq].Payload) {
				t.Errorf("cut to %d: wrong payload of job %d", size, seq)
			}
			_ = s.Commit(t.Context(), []store.Op{{Kind: store.Done, Record: &store.Record{Seq: seq}}})
		}
		next := &store.Record{Seq: 1 << 40, Payload: []byte("next")}
		if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: next}}); err != nil {
			t.Errorf("cut to %d: commit: %v", size, err)
		}
		if payload, err := s.ReadPayload(t.Context(), next); string(payload) != "next" {
			t.Errorf("cut to %d: got %q, %v, want next", size, payload, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("cut to %d: close: %v", size, err)
		}
	}
}
