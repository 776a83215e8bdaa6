//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"gm/pkg/store"
)

// sample is a store's content.
type sample struct {
	jobs   map[uint64]store.Record
	ever   map[uint64]store.Record // and those that are done
	extras map[string]string
	killed bool // so that the journal may not be wholly read
}

// writeSample fills a new store with jobs small and large, of which some are
// done again, and leaves it with s, which may be Close or crash.
func writeSample(t *testing.T, file string, leave func(*Store)) *sample {
	t.Helper()
	s := open(t, file)
	want := &sample{jobs: make(map[uint64]store.Record), ever: make(map[uint64]store.Record), extras: make(map[string]string)}
	random := rand.New(rand.NewPCG(4730, 1))
	seq := uint64(7_000_000_000_000_000)
	for range 20 {
		var batch []store.Op
		for range 30 {
			seq++
			j := store.Record{Seq: seq, Function: fmt.Sprint("function", seq%3), Priority: 1, Accepted: int64(seq), RunAt: int64(seq % 7)}
			if seq%4 > 0 {
				j.Unique = fmt.Sprint("unique-", random.Uint32())
			}
			size := random.IntN(400)
			if seq%40 == 0 {
				size = random.IntN(30_000)
			}
			j.Payload = bytes.Repeat(fmt.Appendf(nil, "payload of %d ", seq), size/20+1)
			batch = append(batch, store.Op{Kind: store.Add, Record: &j})
			want.jobs[seq], want.ever[seq] = j, j
			if done := seq - 60; seq%3 > 0 && random.IntN(2) == 0 && want.jobs[done].Seq > 0 {
				batch = append(batch, storeDone(want.jobs[done]))
				delete(want.jobs, done)
			}
		}
		key := fmt.Sprint("dead/", seq)
		want.extras[key] = fmt.Sprint("value of ", seq)
		batch = append(batch, store.Op{Kind: store.Put, Key: key, Value: []byte(want.extras[key])})
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	leave(s)
	return want
}

// TestDamage damages files in many places, one at a time.
func TestDamage(t *testing.T) { eachKind(t, testDamage) }

func testDamage(t *testing.T, base string) {
	for _, tc := range []struct {
		name   string
		leave  func(*Store)
		suffix string // of the file that is damaged
	}{
		{"closed", func(s *Store) { _ = s.Close() }, ""},
		{"killed", func(s *Store) { crash(t, s) }, ""},
		{"killed, the log", func(s *Store) { crashInCommit(t, s) }, logSuffix(base)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, base)
			want := writeSample(t, file, tc.leave)
			want.killed = tc.suffix != ""
			whole, err := os.ReadFile(file + tc.suffix)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(4730, 2))
			lost := 0
			damaged := func(name string, content []byte, older bool) {
				t.Run(name, func(t *testing.T) {
					there := filepath.Join(t.TempDir(), base)
					copyFile(t, file, there)
					if log := logSuffix(base); sizeOrNone(file+log) >= 0 {
						copyFile(t, file+log, there+log)
					}
					if err := os.WriteFile(there+tc.suffix, content, 0o600); err != nil {
						t.Fatal(err)
					}
					lost += want.survives(t, there, older)
				})
			}
			const flips = 60
			for i := range flips {
				at := len(whole)*i/flips + random.IntN(len(whole)/flips)
				if i < 8 {
					at = random.IntN(120) // headers
				}
				content := bytes.Clone(whole)
				flip := byte(1 + random.IntN(255))
				content[at] ^= flip
				damaged(fmt.Sprintf("byte %d by %#x", at, flip), content, false)
			}
			// A journal that ends early is one that has not got further yet.
			for i := range 10 {
				damaged(fmt.Sprintf("cut to %d of 10", i), whole[:len(whole)*i/10+random.IntN(500)], want.killed)
			}
			t.Logf("%d jobs, %d bytes: %d jobs lost of %d times as many", len(want.jobs), len(whole), lost, flips+10)
		})
	}
}

// survives opens what is there and sees that what comes out went in, and that
// whatever is missing was told of, or the store is as it was before. It returns
// how many jobs are missing.
func (want *sample) survives(t *testing.T, file string, older bool) (missing int) {
	t.Helper()
	var told []string
	openIt := func() *Store {
		s, err := Open(t.Context(), Config{File: file, Skipped: func(what string, err error) {
			told = append(told, fmt.Sprintf("%s: %v", what, err))
		}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := openIt()
	jobs, extras := want.read(t, s)
	if missing = len(want.jobs) - jobs; missing+len(want.extras)-extras > 0 && len(told) == 0 && !older {
		t.Errorf("got %d jobs of %d, %d extras of %d, and not a word", jobs, len(want.jobs), extras, len(want.extras))
	}
	// It goes on as any store.
	var ends []store.Op
	for _, j := range want.jobs {
		ends = append(ends, storeDone(j))
	}
	var again []store.Op
	for _, j := range want.jobs {
		j.Seq += 1_000_000
		again = append(again, store.Op{Kind: store.Add, Record: &j})
	}
	if err := s.Commit(t.Context(), append(ends, again...)); err != nil {
		t.Errorf("commit: %v; told: %q", err, told)
	}
	for _, j := range want.jobs {
		if _, err := s.ReadPayload(t.Context(), &j); err != store.ErrNotFound {
			t.Fatalf("payload of a job that is done: got %v, want %v", err, store.ErrNotFound)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	// And has lost nothing the next time.
	told = nil
	s = openIt()
	defer s.Close()
	n := 0
	err := s.Replay(t.Context(), func(j *store.Record) error {
		if j.Seq > 7_000_000_000_900_000 {
			n++
		}
		return nil
	})
	if err != nil || n != len(want.jobs) || len(told) > 0 {
		t.Errorf("second replay: got %d jobs of %d, %v, told: %q", n, len(want.jobs), err, told)
	}
	return missing
}

// read reads all and returns how much is there.
func (want *sample) read(t *testing.T, s *Store) (jobs, extras int) {
	t.Helper()
	last := uint64(0)
	err := s.Replay(t.Context(), func(got *store.Record) error {
		j := want.ever[got.Seq]
		_, waits := want.jobs[got.Seq]
		switch {
		case j.Seq == 0 || !waits && !want.killed:
			t.Errorf("job %d was done, or was none", got.Seq)
		case got.Function != j.Function || got.Unique != j.Unique || !bytes.Equal(got.Payload, j.Payload):
			t.Errorf("job %d is not what it was: %q %q %.60q", got.Seq, got.Function, got.Unique, got.Payload)
		case got.Seq <= last:
			t.Errorf("job %d after %d", got.Seq, last)
		}
		last = got.Seq
		jobs++
		return nil
	})
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	err = s.Extras(t.Context(), "", func(key string, value []byte) error {
		if want.extras[key] != string(value) {
			t.Errorf("extra %q is not what it was: %q", key, value)
		}
		extras++
		return nil
	})
	if err != nil {
		t.Fatalf("extras: %v", err)
	}
	return jobs, extras
}

// logSuffix is the end of the name of the file that has what a killed process did
// last, or what it was about to overwrite.
func logSuffix(name string) string {
	if filepath.Ext(name) == ".tcb" {
		return walSuffix
	}
	return ".journal"
}

func sizeOrNone(file string) int64 {
	size, err := fileSize(file)
	if err != nil {
		return -1
	}
	return size
}

// crashInCommit leaves s in the middle of a commit that ends every third job. A
// hash database has the batch in its journal before anything else is done.
func crashInCommit(t *testing.T, s *Store) {
	t.Helper()
	d, ok := s.hash.(*tree)
	if !ok {
		crash(t, s)
		return
	}
	var changes []change
	err := s.list(t.Context(), func(key string, x *entry) error {
		if !x.extra && x.job.Seq%3 == 0 {
			changes = append(changes, change{key: key})
		}
		return nil
	})
	if err := errors.Join(err, d.begin(), s.apply(changes), d.sync()); err != nil {
		t.Fatal(err)
	}
	crash(t, s)
	if size := sizeOrNone(s.path + walSuffix); size < 5000 {
		t.Fatalf("the log of the transaction has %d bytes", size)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
