package storetest

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

// Damage is a store in a file that RunDamage damages.
type Damage struct {
	// Name is the file's name in a directory.
	Name string
	// Open opens the store in a file. skipped is its Skipped hook.
	Open func(t testing.TB, file string, skipped func(what string, err error)) store.Store
	// Ways are how the file is left before it is damaged.
	Ways []DamagedFile
}

// DamagedFile is one way to leave a store's files, and the file that is damaged.
type DamagedFile struct {
	Name  string
	Leave func(t testing.TB, s store.Store)
	// Suffix is added to the file's name for the one that is damaged: empty for the
	// file itself, else that of a log, so that the store may be older than its last
	// Commit.
	Suffix string
	// Logs are the suffixes of the other files that belong to it. They may be missing.
	Logs []string
}

// RunDamage damages files in many places, one at a time: every job that the
// store returns was added before, and every missing one was reported. In short
// mode it damages fewer places. The files are in memory, where the system
// allows that.
func RunDamage(t *testing.T, d Damage) {
	for _, way := range d.Ways {
		t.Run(way.Name, func(t *testing.T) {
			file := filepath.Join(MemoryDir(t), d.Name)
			want := writeSample(t, d.Open(t, file, failSkipped(t)), way.Leave)
			want.open, want.killed = d.Open, way.Suffix != ""
			whole, err := os.ReadFile(file + way.Suffix)
			if err != nil {
				t.Fatal(err)
			}
			flips := 60
			if testing.Short() {
				flips = 20
			}
			random := rand.New(rand.NewPCG(4730, 2))
			lost := 0
			damaged := func(name string, content []byte, older bool) {
				t.Run(name, func(t *testing.T) {
					there := filepath.Join(MemoryDir(t), d.Name)
					for _, suffix := range append([]string{""}, way.Logs...) {
						copyIfThere(t, file+suffix, there+suffix)
					}
					if err := os.WriteFile(there+way.Suffix, content, 0o600); err != nil {
						t.Fatal(err)
					}
					lost += want.survives(t, there, older)
				})
			}
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
			// A log that ends early looks like one whose last batches were not written
			// yet.
			for i := range 10 {
				damaged(fmt.Sprintf("cut to %d of 10", i), whole[:len(whole)*i/10+random.IntN(500)], want.killed)
			}
			t.Logf("%d jobs, %d bytes: %d jobs lost of %d times as many", len(want.jobs), len(whole), lost, flips+10)
		})
	}
}

// MemoryDir returns a new directory that is in memory where the system has a place
// for that, so that syncs take no time. It lasts as long as t.
func MemoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "gm-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func failSkipped(t testing.TB) func(string, error) {
	return func(what string, err error) { t.Errorf("skipped %s: %v", what, err) }
}

// copyIfThere copies a file that may not be there.
func copyIfThere(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sample is a store's content.
type sample struct {
	open   func(testing.TB, string, func(string, error)) store.Store
	jobs   map[uint64]store.Record
	ever   map[uint64]store.Record // and those that are done
	extras map[string]string
	killed bool // so that a log may not be wholly read
}

// writeSample fills a new store with jobs small and large, of which some are
// done again, and leaves it.
func writeSample(t testing.TB, s store.Store, leave func(testing.TB, store.Store)) *sample {
	t.Helper()
	want := &sample{jobs: make(map[uint64]store.Record), ever: make(map[uint64]store.Record), extras: make(map[string]string)}
	random := rand.New(rand.NewPCG(4730, 1))
	seq := uint64(7_000_000_000_000_000)
	const rounds, jobs = 20, 15
	for range rounds {
		var batch []store.Op
		for range jobs {
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
			add := store.Op{Kind: store.Add, Record: &j}
			batch = append(batch, add)
			want.jobs[seq], want.ever[seq] = j, j
			if old, there := want.jobs[seq-2*jobs]; there && seq%3 > 0 && random.IntN(2) == 0 {
				batch = append(batch, done(store.Op{Record: &old}))
				delete(want.jobs, old.Seq)
			}
		}
		key := fmt.Sprint("dead/", seq)
		want.extras[key] = fmt.Sprint("value of ", seq)
		batch = append(batch, put(key, []byte(want.extras[key])))
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	leave(t, s)
	return want
}

// survives opens a damaged file and checks that every returned job was added
// before, and that every missing one was reported, or that the store is
// unchanged. It returns how many jobs are missing.
func (want *sample) survives(t *testing.T, file string, older bool) (missing int) {
	t.Helper()
	var told []string
	skipped := func(what string, err error) { told = append(told, fmt.Sprintf("%s: %v", what, err)) }
	s := want.open(t, file, skipped)
	jobs, extras := want.readStore(t, s)
	if missing = len(want.jobs) - jobs; missing+len(want.extras)-extras > 0 && len(told) == 0 && !older {
		t.Errorf("got %d jobs of %d, %d extras of %d, and no report", jobs, len(want.jobs), extras, len(want.extras))
	}
	// The store works as any other store.
	const later = 1_000_000
	var ends, again []store.Op
	for _, j := range want.jobs {
		ends = append(ends, done(store.Op{Record: &j}))
		j.Seq += later
		again = append(again, store.Op{Kind: store.Add, Record: &j})
	}
	if err := s.Commit(t.Context(), append(ends, again...)); err != nil {
		t.Errorf("commit: %v; told: %q", err, told)
	}
	for _, j := range want.jobs {
		if _, err := s.(store.Reader).ReadPayload(t.Context(), &j); err != store.ErrNotFound {
			t.Fatalf("payload of a job that is done: got %v, want %v", err, store.ErrNotFound)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	// It has lost nothing when it is opened again.
	told = nil
	s = want.open(t, file, skipped)
	defer s.Close()
	n := 0
	err := s.Replay(t.Context(), func(j *store.Record) error {
		if _, added := want.jobs[j.Seq-later]; added {
			n++
		}
		return nil
	})
	if err != nil || n != len(want.jobs) || len(told) > 0 {
		t.Errorf("second replay: got %d jobs of %d, %v, told: %q", n, len(want.jobs), err, told)
	}
	return missing
}

// readStore reads all jobs and extras, and returns how many there are.
func (want *sample) readStore(t *testing.T, s store.Store) (jobs, extras int) {
	t.Helper()
	last := uint64(0)
	err := s.Replay(t.Context(), func(got *store.Record) error {
		j := want.ever[got.Seq]
		_, waits := want.jobs[got.Seq]
		switch {
		case j.Seq == 0 || !waits && !want.killed:
			t.Errorf("job %d was done, or was none", got.Seq)
		case got.Function != j.Function || got.Unique != j.Unique || !bytes.Equal(got.Payload, j.Payload):
			t.Errorf("job %d has changed: %q %q %.60q", got.Seq, got.Function, got.Unique, got.Payload)
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
	return jobs, want.readExtras(t, s)
}

// readExtras reads all extras, together and one by one, and returns how many are
// there.
func (want *sample) readExtras(t *testing.T, s store.Store) int {
	t.Helper()
	found := make(map[string]bool)
	see := func(key string, value []byte) {
		if want.extras[key] != string(value) {
			t.Errorf("extra %q has changed: %q", key, value)
		}
		found[key] = true
	}
	err := s.Extras(t.Context(), "", func(key string, value []byte) error {
		see(key, value)
		return nil
	})
	if err != nil {
		t.Fatalf("extras: %v", err)
	}
	n := len(found)
	for key := range want.extras {
		value, err := s.Extra(t.Context(), key)
		switch {
		case err == nil:
			see(key, value)
		case found[key]:
			t.Errorf("extra %q: got %v, though it is listed", key, err)
		case !errors.Is(err, store.ErrNotFound):
			t.Errorf("extra %q: got %v, want %v, as it was set aside", key, err, store.ErrNotFound)
		}
	}
	if len(found) > n {
		t.Errorf("extras: %d are listed and %d are found one by one", n, len(found))
	}
	return n
}
