//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gm/pkg/store"
)

// TestOtherKind opens a database under the name of the other kind: that is an
// error, and the file stays as it is.
func TestOtherKind(t *testing.T) {
	eachKind(t, func(t *testing.T, name string) {
		dir := t.TempDir()
		s := open(t, filepath.Join(dir, name))
		commit(t, s, add(1, "f", "u", "payload"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		other := map[string]string{"queue.tch": "other.tcb", "queue.tcb": "other.tch"}[name]
		copyFile(t, filepath.Join(dir, name), filepath.Join(dir, other))
		before, err := os.ReadFile(filepath.Join(dir, other))
		if err != nil {
			t.Fatal(err)
		}
		s = open(t, filepath.Join(dir, other))
		defer s.Close()
		err = s.Replay(t.Context(), func(*store.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "which does not match its name") {
			t.Errorf("replay: got %v", err)
		}
		if after, err := os.ReadFile(filepath.Join(dir, other)); err != nil || !bytes.Equal(after, before) {
			t.Errorf("the file has changed, %v", err)
		}
	})
}

// TestTreeShapes makes trees of several levels, takes most of them apart and
// fills them again: the library and verify agree on each.
func TestTreeShapes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.tcb")
	random := rand.New(rand.NewPCG(4730, 3))
	there := make(map[uint64]store.Op)
	next := uint64(1)
	for round := range 8 {
		s := open(t, file)
		for range 3 {
			var batch []store.Op
			if round%4 < 2 {
				for range 1000 {
					op := add(next, fmt.Sprint("f", random.IntN(5)), fmt.Sprint("u", random.Uint64()), strings.Repeat("p", random.IntN(300)))
					there[next] = op
					batch = append(batch, op)
					next++
				}
			} else {
				for seq, op := range there {
					if len(batch) == 1900 {
						break
					}
					batch = append(batch, storeDone(*op.Record))
					delete(there, seq)
				}
			}
			commit(t, s, batch...)
		}
		if err := s.Check(t.Context(), func(what string) { t.Errorf("round %d: check: %s", round, what) }); err != nil {
			t.Error(err)
		}
		if n := len(jobsIn(t, s)); n != len(there) {
			t.Errorf("round %d: got %d jobs, want %d", round, n, len(there))
		}
		if round%3 == 1 {
			if err := s.Compact(t.Context()); err != nil {
				t.Error(err)
			}
			if n := len(jobsIn(t, s)); n != len(there) {
				t.Errorf("round %d, compacted: got %d jobs, want %d", round, n, len(there))
			}
		}
		if round%2 == 0 {
			crash(t, s)
		} else if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// TestAbstractAPI exchanges jobs with a program that uses the library's abstract
// API, as gearmand does: it has the kind of the database from the name.
func TestAbstractAPI(t *testing.T) {
	tcamgr, err := exec.LookPath("tcamgr")
	if err != nil {
		t.Skip("no tcamgr: install tokyocabinet-bin")
	}
	run := func(t *testing.T, args ...string) string {
		t.Helper()
		out, err := exec.Command(tcamgr, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("tcamgr %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	eachKind(t, func(t *testing.T, name string) {
		file := filepath.Join(t.TempDir(), name)
		run(t, "create", file)
		for i := range 300 {
			key := fmt.Sprint("f-theirs", i)
			value := fmt.Sprintf("f\x00theirs%d\x0010\x00payload %d", i, i)
			run(t, "put", "-sx", file, hex.EncodeToString([]byte(key)), hex.EncodeToString([]byte(value)))
		}
		s := open(t, file)
		jobs := jobsIn(t, s)
		if len(jobs) != 300 || !slices.Contains(jobs, `f "theirs7" "payload 7" p1 at 0 tried 0`) {
			t.Errorf("got %d jobs, want 300: %.200q", len(jobs), jobs)
		}
		commit(t, s, add(1_000_000, "f", "ours", "payload"), storeDone(store.Record{Seq: seqOf(t, s, "theirs0"), Function: "f", Unique: "theirs0"}))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		keys := strings.Fields(run(t, "list", file))
		if !slices.Contains(keys, "f-ours") || !slices.Contains(keys, "f-theirs299") || slices.Contains(keys, "f-theirs0") {
			t.Errorf("tcamgr lists %d keys: %.200q", len(keys), keys)
		}
		if got := run(t, "get", file, "f-ours"); !strings.HasPrefix(got, "f\x00ours\x001") || !strings.HasSuffix(strings.TrimSuffix(got, "\n"), "0\x00payload") {
			t.Errorf("tcamgr gets %q", got)
		}
		// A killed gm leaves a database that the library opens too, and with it
		// every batch that was committed and no other.
		s = open(t, file)
		commit(t, s, add(1_000_001, "f", "killed", "payload"))
		crashInCommit(t, s)
		if keys := strings.Fields(run(t, "list", file)); len(keys) != 302 || !slices.Contains(keys, "f-killed") {
			t.Errorf("after a kill, tcamgr lists %d keys, want 302", len(keys))
		}
		s = open(t, file)
		defer s.Close()
		if n := len(jobsIn(t, s)); n != 301 {
			t.Errorf("after a kill, got %d jobs, want 301", n)
		}
	})
}

// seqOf returns the sequence of the job with a unique.
func seqOf(t *testing.T, s *Store, unique string) (seq uint64) {
	t.Helper()
	err := s.Replay(t.Context(), func(j *store.Record) error {
		if j.Unique == unique {
			seq = j.Seq
		}
		return nil
	})
	if err != nil || seq == 0 {
		t.Fatalf("job %q: got %d, %v", unique, seq, err)
	}
	return seq
}

// TestLibraryKilled opens a B+ tree database as a killed gearmand leaves it: some
// pages are newer than others. The jobs that were synced are there, or a loss is
// reported.
func TestLibraryKilled(t *testing.T) {
	for _, unsynced := range []int{0, 1, 50, 3000} {
		t.Run(fmt.Sprint(unsynced, " unsynced"), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "queue.tcb")
			d, err := openTree(file, treeBuckets)
			if err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(4730, 4))
			for i := range 4000 + unsynced {
				if i == 4000 {
					if err := d.sync(); err != nil {
						t.Fatal(err)
					}
				}
				gearmandPut(t, d, "f", fmt.Sprint(random.Uint64()), "1", 0, strings.Repeat("p", 500))
			}
			if unsynced == 0 {
				if err := d.sync(); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.abandon(); err != nil {
				t.Fatal(err)
			}
			var told []string
			s, err := Open(t.Context(), Config{File: file, Skipped: func(what string, err error) {
				told = append(told, fmt.Sprintf("%s: %v", what, err))
			}})
			if err != nil {
				t.Fatal(err)
			}
			n := len(jobsIn(t, s))
			if n < 4000 && len(told) == 0 || n > 4000+unsynced || unsynced == 0 && len(told) > 0 {
				t.Errorf("got %d jobs of 4000 and %d, told %.300q", n, unsynced, told)
			}
			t.Logf("%d jobs, told %.300q", n, told)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			s = open(t, file)
			defer s.Close()
			if again := len(jobsIn(t, s)); again != n {
				t.Errorf("the second time: got %d jobs, want %d", again, n)
			}
		})
	}
}

// TestRemovalKilled removes jobs outside of a transaction, as on a full disk, and
// leaves the database when some pages are written: all other jobs are there.
func TestRemovalKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "queue.tcb")
	s := open(t, file)
	var batch []store.Op
	for seq := range uint64(6000) {
		batch = append(batch, add(seq+1, "f", fmt.Sprint("u", seq), strings.Repeat("p", 500)))
	}
	commit(t, s, batch...)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	removed := make(map[string]bool)
	for i, op := range batch {
		// Whole pages go in the first half, and some records in each of the others.
		if key := keyOf(op.Record); key < "f-u3" || i%3 == 0 {
			removed[key] = true
			if err := s.db.remove(key); err != nil {
				t.Fatal(err)
			}
		}
	}
	crash(t, s)
	if after, err := os.ReadFile(file); err != nil || bytes.Equal(after, before) {
		t.Fatalf("no page was written, %v", err)
	}
	s, err = Open(t.Context(), Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	there := make(map[string]bool)
	for _, j := range jobsIn(t, s) {
		there[strings.Split(j, `"`)[1]] = true
	}
	for _, op := range batch {
		if !removed[keyOf(op.Record)] && !there[op.Record.Unique] {
			t.Errorf("job %d is gone", op.Record.Seq)
		}
	}
	if len(there) > len(batch) {
		t.Errorf("got %d jobs of %d", len(there), len(batch))
	}
}
