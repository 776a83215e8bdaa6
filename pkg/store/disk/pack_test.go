package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gm/internal/codec"
	"gm/pkg/store"
)

// smallRecord is a record that is packed.
func smallRecord(seq uint64) *store.Record {
	return &store.Record{Seq: seq, Function: "f", Unique: fmt.Sprint("u", seq), Payload: []byte(strings.Repeat("p", int(seq%90)))}
}

// makePack returns a pack of these jobs.
func makePack(t testing.TB, seqs ...uint64) pack {
	t.Helper()
	var p pack
	for _, seq := range seqs {
		if !p.appendJob(seq, codec.AppendRecord(nil, smallRecord(seq)), 1<<20) {
			t.Fatalf("job %d does not fit", seq)
		}
	}
	return p
}

// seqsOf returns whose records are in p, and how many stretches are broken.
func seqsOf(p *pack) (seqs []uint64, broken int) {
	for x := range p.all() {
		if x.record == nil {
			broken++
			continue
		}
		seqs = append(seqs, x.seq)
	}
	return seqs, broken
}

func TestPackKey(t *testing.T) {
	p := makePack(t, 7, 8, 300, 7+1<<32-1)
	got, ok := sealing{}.parsePack(p.key(), p.records)
	if !ok || got.first != 7 || got.last != p.last {
		t.Errorf("got %v, %d to %d", ok, got.first, got.last)
	}
	if p.appendJob(7+1<<32, []byte("too far"), 1<<20) {
		t.Error("a job whose distance the key can't have was packed")
	}
	if _, ok := (sealing{}).parsePack(jobKey(5), nil); ok {
		t.Error("the key of a job is that of a pack")
	}
	if p, ok := (sealing{}).parsePack(append(jobKey(2), 0, 0, 0, 3), nil); !ok || p.first != 0 || p.last != 2 {
		t.Errorf("a key that is broken: got %v, %d to %d, want 0 to 2", ok, p.first, p.last)
	}
}

func TestPackChanges(t *testing.T) {
	p := makePack(t, 10, 20, 30)
	p.setJob(25, codec.AppendRecord(nil, smallRecord(25)))
	p.setJob(20, codec.AppendRecord(nil, &store.Record{Seq: 20, Payload: []byte("longer than it was before")}))
	p.setJob(31, nil) // nothing that is a record
	p.last = 40
	p.records = p.records[:len(p.records)-1]
	p.setJob(40, codec.AppendRecord(nil, smallRecord(40)))
	p.setJob(10, codec.AppendRecord(nil, smallRecord(10)))
	if got, broken := seqsOf(&p); !slices.Equal(got, []uint64{10, 20, 25, 30, 40}) || broken != 0 {
		t.Errorf("got %v, %d broken", got, broken)
	}
	r, _, err := codec.DecodeHead(p.find(20).record)
	if err != nil || string(r.Payload) != "longer than it was before" {
		t.Errorf("got %+v, %v", r, err)
	}
	if x := p.find(21); x.record != nil || x.from != x.to {
		t.Errorf("job 21 is there: %+v", x)
	}
}

// TestPackFlipped sees that a wrong byte damages one record, and that only this
// one is reported.
func TestPackFlipped(t *testing.T) {
	seqs := []uint64{1000, 1001, 1050, 1051, 1052, 1089, 1100, 1101}
	p := makePack(t, seqs...)
	for at := range p.records {
		for _, by := range []byte{1, 0x80, 0xff} {
			damaged := p
			damaged.records = bytes.Clone(p.records)
			damaged.records[at] ^= by
			got, broken := seqsOf(&damaged)
			if len(got) != len(seqs)-1 || broken != 1 {
				t.Fatalf("byte %d ^ %#x: got %v, %d broken", at, by, got, broken)
			}
			for _, seq := range got {
				if !slices.Contains(seqs, seq) {
					t.Fatalf("byte %d ^ %#x: job %d was never there", at, by, seq)
				}
			}
		}
	}
}

func FuzzPack(f *testing.F) {
	p := makePack(f, 3, 4, 9)
	f.Add(p.key(), p.records, uint64(4))
	f.Add(p.key(), p.records[3:], uint64(9))
	f.Fuzz(func(t *testing.T, key, value []byte, seq uint64) {
		p, ok := sealing{}.parsePack(key, value)
		if !ok {
			return
		}
		at := 0
		for x := range p.all() {
			if x.from != at || x.to <= x.from {
				t.Fatalf("stretch from %d to %d at %d", x.from, x.to, at)
			}
			if at = x.to; x.record != nil && !p.spans(x.seq) && p.last > 0 {
				t.Fatalf("job %d in a pack of %d to %d", x.seq, p.first, p.last)
			}
		}
		if at != len(value) {
			t.Fatalf("%d of %d bytes", at, len(value))
		}
		if x := p.find(seq); x.record != nil && x.seq != seq {
			t.Fatalf("looked for job %d, got %d", seq, x.seq)
		}
	})
}

// TestPacksFillPages sees that packs are as large as pages have room for.
func TestPacksFillPages(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	const jobs = 20_000
	addJobs(t, s, 1, jobs, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, "queue.db"), 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		stats := tx.Bucket(jobsName).Stats()
		if used := float64(stats.LeafInuse) / float64(stats.LeafAlloc); used < 0.9 {
			t.Errorf("leaves are %.2f full", used)
		}
		if stats.KeyN > jobs/10 {
			t.Errorf("%d keys", stats.KeyN)
		}
		if over := stats.LeafOverflowN; over > stats.LeafPageN/50 {
			t.Errorf("%d pages of %d overflow", over, stats.LeafPageN)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPacksRandomly adds and ends jobs in any order, and adds some again, and
// compares the jobs of the store with those that it must have.
func TestPacksRandomly(t *testing.T) {
	t.Parallel()
	seeds, batches := uint64(4), 120
	if testing.Short() {
		seeds, batches = 1, 60
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			packRandomly(t, rand.New(rand.NewPCG(seed, 1)), batches)
		})
	}
}

func packRandomly(t *testing.T, random *rand.Rand, batches int) {
	dir := t.TempDir()
	s := openWith(t, Config{Dir: dir, Sync: store.SyncNever})
	want := make(map[uint64]string) // payloads
	tries := make(map[uint64]int)
	next := uint64(1)
	add := func(seq uint64) store.Op {
		size := []int{0, 10, 100, 900, 1500, 5000}[min(random.IntN(40), 5)]
		payload := strings.Repeat(string(rune('a'+random.IntN(26))), size)
		want[seq], tries[seq] = payload, 0
		return store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: []byte(payload)}}
	}
	for range batches {
		var batch []store.Op
		for range random.IntN(80) {
			next += 1 + uint64(random.IntN(2))
			batch = append(batch, add(next))
		}
		for range random.IntN(60) {
			seq := 1 + random.Uint64N(next)
			if _, ok := want[seq]; !ok {
				if random.IntN(4) == 0 {
					batch = append(batch, add(seq)) // a late one, or one that comes again
				}
				continue
			}
			if random.IntN(3) == 0 {
				tries[seq]++
				batch = append(batch, store.Op{Kind: store.Update, Record: &store.Record{Seq: seq, Attempts: tries[seq]}})
				continue
			}
			delete(want, seq)
			batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: seq}})
		}
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		switch random.IntN(12) {
		case 0, 1, 2:
			if err := s.flushLog(); err != nil {
				t.Fatal(err)
			}
		case 3:
			if err := s.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	got := make(map[uint64]string)
	last := uint64(0)
	err := s.Replay(t.Context(), func(r *store.Record) error {
		if r.Seq <= last {
			t.Errorf("job %d after %d", r.Seq, last)
		}
		last = r.Seq
		got[r.Seq] = string(r.Payload)
		if r.Attempts != tries[r.Seq] {
			t.Errorf("job %d: %d attempts, want %d", r.Seq, r.Attempts, tries[r.Seq])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d jobs are not the %d that should be there", len(got), len(want))
	}
	for seq := range next + 2 {
		payload, err := s.ReadPayload(t.Context(), &store.Record{Seq: seq})
		if wanted, ok := want[seq]; ok && (err != nil || string(payload) != wanted) || !ok && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("payload of job %d: %d bytes, %v", seq, len(payload), err)
		}
	}
	closeSound(t, s, dir)
}

// TestSetAsidePacked sees that a record which is broken in a pack is set aside,
// with its payload, and its neighbours stay.
func TestSetAsidePacked(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	addJobs(t, s, 1, 5, 10)
	addJobs(t, s, 6, 3, 5000) // their records are packed, their payloads are not
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c := sealingOfFile(t, filepath.Join(dir, "queue.db"))
	spoil(t, filepath.Join(dir, "queue.db"), func(jobs, _, _ *bolt.Bucket) {
		key, value := jobs.Cursor().First()
		p, ok := c.parsePack(key, value)
		if !ok || !p.spans(1) || !p.spans(8) {
			t.Fatalf("got the key %x", key)
		}
		value = flipped(flipped(value, p.find(2).from+8), p.find(7).to-1)
		if err := jobs.Put(key, value); err != nil {
			t.Error(err)
		}
	})
	var said []string
	s = openWith(t, Config{Dir: dir, Skipped: func(what string, _ error) { said = append(said, what) }})
	defer s.Close()
	var corrupt *store.CorruptError
	if payload, err := s.ReadPayload(t.Context(), &store.Record{Seq: 7}); !errors.As(err, &corrupt) {
		t.Errorf("payload of job 7: got %q, %v, want a *CorruptError", payload, err)
	}
	for range 2 {
		var seqs []uint64
		if err := s.Replay(t.Context(), func(r *store.Record) error { seqs = append(seqs, r.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		if want := []uint64{1, 3, 4, 5, 6, 8}; !slices.Equal(seqs, want) {
			t.Errorf("got %v, want %v", seqs, want)
		}
	}
	if want := slices.Repeat([]string{"one or more of jobs 1 to 8"}, 2); !slices.Equal(said, want) || !slices.Equal(asideLines(t, dir), want) {
		t.Errorf("set aside: got %q, in the file %q, want %q", said, asideLines(t, dir), want)
	}
	if payload, err := s.ReadPayload(t.Context(), &store.Record{Seq: 7}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("payload of job 7 again: got %q, %v, want ErrNotFound", payload, err)
	}
	if err := s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
		t.Error(err)
	}
}

// TestPayloadLikeAPack sees that a salvage does not take a record out of a
// payload that looks like a pack.
func TestPayloadLikeAPack(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	s := openDir(t, dir)
	inner := makePack(t, 3)
	payload := append(inner.records, make([]byte, 4000)...)
	for seq := uint64(1); seq <= 3; seq++ {
		add := store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: payload}}
		if err := s.Commit(t.Context(), []store.Op{add}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	root := bytes.Index(b, []byte("bodies")) // of the tree of buckets
	b[root/4096*4096+12] ^= 1                // its overflow
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	s = openWith(t, Config{Dir: dir, Skipped: func(what string, _ error) { said = append(said, what) }})
	defer s.Close()
	var seqs []uint64
	err = s.Replay(t.Context(), func(r *store.Record) error {
		if !bytes.Equal(r.Payload, payload) {
			t.Errorf("job %d has another payload", r.Seq)
		}
		seqs = append(seqs, r.Seq)
		return nil
	})
	if want := []uint64{1, 2, 3}; err != nil || !slices.Equal(seqs, want) || len(said) == 0 {
		t.Errorf("got %v, %v, %q, want %v from a broken file", seqs, err, said, want)
	}
}

// TestAddedAgain writes jobs into the file a second time, as after a kill in
// between: each is there once.
func TestAddedAgain(t *testing.T) {
	s := openDir(t, t.TempDir())
	defer s.Close()
	addJobs(t, s, 1, 500, 50)
	if err := s.flushLog(); err != nil {
		t.Fatal(err)
	}
	endJobs(t, s, 100, 200)
	if err := s.flushLog(); err != nil {
		t.Fatal(err)
	}
	addJobs(t, s, 50, 600, 60) // 50 to 649: there, done, and new
	if got := count(t, s); got != 649 {
		t.Errorf("got %d jobs, want 649", got)
	}
	endJobs(t, s, 1, 649)
	if got := count(t, s); got != 0 {
		t.Errorf("got %d jobs, want none", got)
	}
	if err := s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
		t.Error(err)
	}
}

// TestPackKeyBroken sees that a pack with an impossible key is set aside once.
func TestPackKeyBroken(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	addJobs(t, s, 1, 5, 10)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	spoil(t, filepath.Join(dir, "queue.db"), func(jobs, _, _ *bolt.Bucket) {
		key, value := jobs.Cursor().First()
		value = bytes.Clone(value)
		if err := errors.Join(jobs.Delete(key), jobs.Put(append(jobKey(2), 0xff, 0, 0, 4), value)); err != nil {
			t.Error(err)
		}
	})
	var said []string
	s = openWith(t, Config{Dir: dir, Skipped: func(what string, _ error) { said = append(said, what) }})
	defer s.Close()
	for range 2 {
		if got := count(t, s); got != 2 {
			t.Errorf("got %d jobs, want 2", got)
		}
	}
	if want := []string{"one or more of jobs 0 to 2"}; !slices.Equal(said, want) {
		t.Errorf("set aside: got %q, want %q", said, want)
	}
	endJobs(t, s, 1, 2)
	if got := count(t, s); got != 0 {
		t.Errorf("got %d jobs, want none", got)
	}
}

// TestPackForged sees that a record in the payload of a broken one is none, as
// long as the broken one's size is right.
func TestPackForged(t *testing.T) {
	forged := codec.AppendRecord(nil, &store.Record{Seq: 2, Function: "forged"})
	inner := append(binary.AppendUvarint(nil, uint64(len(forged))), forged...)
	for _, last := range []bool{false, true} {
		var p pack
		p.appendJob(1, codec.AppendRecord(nil, &store.Record{Seq: 1, Function: "f", Payload: inner}), packRoom(4096))
		p.appendJob(3, codec.AppendRecord(nil, &store.Record{Seq: 3, Function: "f"}), packRoom(4096))
		at := 5 // in the first record
		if last {
			p = pack{}
			p.appendJob(1, codec.AppendRecord(nil, &store.Record{Seq: 1, Function: "f"}), packRoom(4096))
			at = len(p.records) + 5
			p.appendJob(3, codec.AppendRecord(nil, &store.Record{Seq: 3, Function: "f", Payload: inner}), packRoom(4096))
		}
		p.records[at]++
		for x := range p.all() {
			if x.record != nil && x.seq == 2 {
				t.Errorf("the broken one is the last: %v: got the forged record", last)
			}
		}
	}
}
