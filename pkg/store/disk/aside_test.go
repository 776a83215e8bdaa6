package disk

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// spoil changes values of a file that nobody has open.
func spoil(t *testing.T, path string, change func(jobs, bodies, extras *bolt.Bucket)) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		change(tx.Bucket(jobsName), tx.Bucket(bodiesName), tx.Bucket(extrasName))
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func flipped(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}

func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	s := openDir(t, dir)
	large := strings.Repeat("large", 20_000)
	for seq := range uint64(10) {
		payload := []byte("small")
		if seq >= 5 {
			payload = []byte(large)
		}
		add := store.Op{Kind: store.Add, Record: &store.Record{Seq: seq + 1, Function: "f", Payload: payload}}
		if err := errors.Join(s.Commit(t.Context(), []store.Op{add}), s.flushLog()); err != nil { // alone, so that it is not packed
			t.Fatal(err)
		}
	}
	extras := []store.Op{{Kind: store.Put, Key: "good", Value: []byte("g")}, {Kind: store.Put, Key: "bad", Value: []byte("b")}}
	if err := s.Commit(t.Context(), extras); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	put := func(b *bolt.Bucket, key, value []byte) {
		if err := b.Put(key, value); err != nil {
			t.Error(err)
		}
	}
	spoil(t, path, func(jobs, bodies, extras *bolt.Bucket) {
		put(jobs, jobKey(2), flipped(jobs.Get(jobKey(2)), 16))                 // its payload
		put(jobs, jobKey(3), slices.Clone(jobs.Get(jobKey(1))))                // another's record
		put(jobs, jobKey(7), flipped(jobs.Get(jobKey(7)), 2))                  // the head of a large one
		put(bodies, pieceKey(8, 1), flipped(bodies.Get(pieceKey(8, 1)), 9000)) // a piece
		put(bodies, pieceKey(9, 0), slices.Clone(bodies.Get(pieceKey(10, 0)))) // another's piece
		put(extras, []byte("bad"), flipped(extras.Get([]byte("bad")), 4))
		if err := bodies.Delete(pieceKey(10, 2)); err != nil {
			t.Error(err)
		}
	})

	var said []string
	s = openWith(t, Config{Dir: dir, Skipped: func(what string, _ error) { said = append(said, what) }})
	defer s.Close()
	var corrupt *store.CorruptError
	if payload, err := s.ReadPayload(t.Context(), &store.Record{Seq: 2}); !errors.As(err, &corrupt) {
		t.Errorf("payload of job 2: got %q, %v, want a *CorruptError", payload, err)
	}
	if payload, err := s.ReadPayload(t.Context(), &store.Record{Seq: 2}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("payload of job 2 again: got %q, %v, want ErrNotFound", payload, err)
	}
	var heads, seqs []uint64
	if err := s.ReplayHeads(t.Context(), func(r *store.Record, _ int) error { heads = append(heads, r.Seq); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []uint64{1, 4, 5, 6, 8, 9, 10}; !slices.Equal(heads, want) {
		t.Errorf("heads: got %v, want %v", heads, want)
	}
	err := s.Replay(t.Context(), func(r *store.Record) error {
		if p := string(r.Payload); p != "small" && p != large {
			t.Errorf("job %d: wrong payload", r.Seq)
		}
		seqs = append(seqs, r.Seq)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []uint64{1, 4, 5, 6}; !slices.Equal(seqs, want) {
		t.Errorf("replay: got %v, want %v", seqs, want)
	}
	err = s.Extras(t.Context(), "", func(key string, _ []byte) error {
		if key != "good" {
			t.Errorf("extra %q", key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"job 2", "job 3", "job 7", "job 8", "job 9", "job 10", `extra "bad"`}
	if !slices.Equal(said, want) {
		t.Errorf("set aside: got %q, want %q", said, want)
	}
	if got := asideLines(t, dir); !slices.Equal(got, want) {
		t.Errorf("in the file: got %q, want %q", got, want)
	}
	// A record that was set aside is not in the queue any more, and no part of
	// it is left.
	if err := s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
		t.Error(err)
	}
}

// TestChangedKeysLeaveNoOrphans checks that nothing of a job is left in the
// queue if a key has changed, so that the job's record and the pieces of its
// payload no longer find each other.
func TestChangedKeysLeaveNoOrphans(t *testing.T) {
	move := func(b *bolt.Bucket, from, to []byte) error {
		value := slices.Clone(b.Get(from))
		return errors.Join(b.Delete(from), b.Put(to, value))
	}
	movePiece := func(_, bodies *bolt.Bucket) error { return move(bodies, pieceKey(2, 1), pieceKey(2+1<<21, 1)) }
	moveRecord := func(jobs, _ *bolt.Bucket) error { return move(jobs, jobKey(2), jobKey(2+1<<21)) }
	replay := func(s *Store) error {
		return s.Replay(t.Context(), func(*store.Record) error { return nil })
	}
	replayHeads := func(s *Store) error {
		return s.ReplayHeads(t.Context(), func(*store.Record, int) error { return nil })
	}
	readPayload := func(s *Store) error {
		if _, err := s.ReadPayload(t.Context(), &store.Record{Seq: 2}); !errors.As(err, new(*store.CorruptError)) {
			return fmt.Errorf("payload of job 2: got error %w, want a *CorruptError", err)
		}
		return nil
	}
	for name, test := range map[string]struct {
		spoil func(jobs, bodies *bolt.Bucket) error
		read  func(*Store) error
		want  []string
	}{
		"piece, replay":       {movePiece, replay, []string{"job 2", "piece of the payload of job 2097154"}},
		"piece, read payload": {movePiece, readPayload, []string{"job 2", "piece of the payload of job 2097154"}},
		"record, replay":      {moveRecord, replay, []string{"job 2097154", "piece of the payload of job 2", "piece of the payload of job 2"}},
		"record, heads":       {moveRecord, replayHeads, []string{"job 2097154", "piece of the payload of job 2", "piece of the payload of job 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openDir(t, dir)
			for seq := range 3 {
				addJobs(t, s, seq+1, 1, pieceSize+1)
				if err := s.flushLog(); err != nil { // so that it is not packed
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			spoil(t, filepath.Join(dir, "queue.db"), func(jobs, bodies, _ *bolt.Bucket) {
				if err := test.spoil(jobs, bodies); err != nil {
					t.Error(err)
				}
			})
			var said []string
			s = openWith(t, Config{Dir: dir, Skipped: func(what string, _ error) { said = append(said, what) }})
			defer s.Close()
			if err := test.read(s); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(said, test.want) {
				t.Errorf("set aside: got %q, want %q", said, test.want)
			}
			if got := asideLines(t, dir); !slices.Equal(got, test.want) {
				t.Errorf("in the file: got %q, want %q", got, test.want)
			}
			if got := count(t, s); got != 2 {
				t.Errorf("got %d jobs, want 2", got)
			}
			if err := s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
				t.Error(err)
			}
		})
	}
}

// asideLines returns the lines of a directory's file of records set aside.
func asideLines(t *testing.T, dir string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "corrupt.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var what []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line filestore.AsideLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if len(line.Value) == 0 || line.Why == "" || line.Time.IsZero() {
			t.Errorf("incomplete: %s", lines.Bytes())
		}
		what = append(what, line.What)
	}
	return what
}

func TestCheckFindsFaults(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	for seq := range 20 {
		addJobs(t, s, seq+1, 1, 3000)
		if err := s.flushLog(); err != nil { // so that it is not packed
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	spoil(t, filepath.Join(dir, "queue.db"), func(jobs, bodies, _ *bolt.Bucket) {
		if err := errors.Join(jobs.Put(jobKey(3), flipped(jobs.Get(jobKey(3)), 8)), jobs.Delete(jobKey(5)), bodies.Delete(pieceKey(7, 0))); err != nil {
			t.Error(err)
		}
	})
	s = openDir(t, dir)
	defer s.Close()
	var got []string
	if err := s.Check(t.Context(), func(what string) { got = append(got, what) }); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"job 3: checksum does not match",
		"job 7: piece 0 of its payload: not in the store",
		"piece of the payload of job 5, which is not there",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestUndo sees that the Adds of a batch whose outcome was not known are gone
// once another batch is committed.
func TestUndo(t *testing.T) {
	s := openDir(t, t.TempDir())
	defer s.Close()
	addJobs(t, s, 1, 5, 5000)
	s.undo = []uint64{2, 4, 99}
	addJobs(t, s, 10, 1, 10)
	if got := count(t, s); got != 4 {
		t.Errorf("got %d jobs, want 4", got)
	}
	addJobs(t, s, 2, 1, 10)
	addJobs(t, s, 11, 1, 10)
	if got := count(t, s); got != 6 {
		t.Errorf("got %d jobs, want 6: undone once only", got)
	}
	if err := s.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
		t.Error(err)
	}
}
