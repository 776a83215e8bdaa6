package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
)

// quiet ends the goroutines of a store, so that batches stay in the log until
// something needs them in the file.
func quiet(t testing.TB, s *Store) *Store {
	t.Helper()
	s.cancel()
	s.wg.Wait()
	if err := s.flushLog(); err != nil {
		t.Fatal(err)
	}
	return s
}

// logged is a log as the end of a process leaves it.
type logged struct {
	files map[string][]byte
	ends  []int // where the frames of its first file end
}

// loggedBatches is how many batches growLog commits: batch n adds the jobs 2n+1
// and 2n+2, and ends job 2n-1.
const loggedBatches = 20

func loggedPayload(seq uint64) string { return strings.Repeat(fmt.Sprint(seq, " "), 40) }

func growLog(t testing.TB) *logged {
	t.Helper()
	dir := t.TempDir()
	s := quiet(t, openDir(t, dir))
	g := &logged{files: make(map[string][]byte)}
	for n := range uint64(loggedBatches) {
		batch := []store.Op{
			{Kind: store.Add, Record: &store.Record{Seq: 2*n + 1, Function: "f", Payload: []byte(loggedPayload(2*n + 1))}},
			{Kind: store.Add, Record: &store.Record{Seq: 2*n + 2, Function: "f", Payload: []byte(loggedPayload(2*n + 2))}},
			{Kind: store.Put, Key: "last", Value: []byte(fmt.Sprint(n))},
		}
		if n > 0 {
			batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: 2*n - 1}})
		}
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		g.ends = append(g.ends, walHeader+len(s.wal.segments[0].data))
	}
	abandon(s)
	g.files = readLogged(t, dir).files
	return g
}

// readLogged returns the files of a directory.
func readLogged(t testing.TB, dir string) *logged {
	t.Helper()
	g := &logged{files: make(map[string][]byte)}
	for _, name := range []string{"queue.db", "queue.log.0", "queue.log.1"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		g.files[name] = b
	}
	return g
}

// write writes the files into a new directory, with another first file of the
// log.
func (g *logged) write(t testing.TB, first []byte) (dir string) {
	t.Helper()
	files := maps.Clone(g.files)
	files["queue.log.0"] = first
	return (&logged{files: files}).writeTo(t, t.TempDir())
}

// writeTo writes the files into a directory, which it returns.
func (g *logged) writeTo(t testing.TB, dir string) string {
	t.Helper()
	for name, b := range g.files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loggedJobs returns the jobs that are there after the first batches.
func loggedJobs(batches int) []uint64 {
	var seqs []uint64
	for n := range uint64(batches) {
		if n+1 == uint64(batches) {
			seqs = append(seqs, 2*n+1)
		}
		seqs = append(seqs, 2*n+2)
	}
	return seqs
}

// replayed opens a log with that first file, and returns the jobs and the extra
// that the store finds, and the parts that were set aside.
func (g *logged) replayed(t testing.TB, first []byte) (jobs []uint64, extra string, skipped []string) {
	t.Helper()
	dir := g.write(t, first)
	s := openWith(t, Config{Dir: dir, Sync: store.SyncNever, Skipped: func(what string, _ error) { skipped = append(skipped, what) }})
	err := s.Replay(t.Context(), func(r *store.Record) error {
		if string(r.Payload) != loggedPayload(r.Seq) {
			t.Errorf("job %d has payload %.20q", r.Seq, r.Payload)
		}
		jobs = append(jobs, r.Seq)
		return nil
	})
	if err == nil {
		err = s.Extras(t.Context(), "", func(key string, value []byte) error {
			if key != "last" {
				t.Errorf("extra %q", key)
			}
			extra = string(value)
			return nil
		})
	}
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	verifyFile(t, filepath.Join(dir, "queue.db"))
	return jobs, extra, skipped
}

// TestLogTorn cuts the log off within each frame, as a machine's end may leave
// it: the batches before are there, the one that is torn is not at all.
func TestLogTorn(t *testing.T) {
	t.Parallel()
	g := growLog(t)
	start := walHeader
	for n, end := range g.ends {
		if testing.Short() && n%4 != 3 { // frames are alike
			start = end
			continue
		}
		from := start
		t.Run(fmt.Sprint("batch ", n), func(t *testing.T) {
			t.Parallel()
			size := int(binary.LittleEndian.Uint32(g.files["queue.log.0"][from+4:]))
			for _, at := range []int{from, from + 1, from + frameHead + 3, from + size/2, from + frameHead + size - 3} {
				torn := bytes.Clone(g.files["queue.log.0"])
				clear(torn[at:])
				jobs, extra, skipped := g.replayed(t, torn)
				if want := loggedJobs(n); !slices.Equal(jobs, want) || len(skipped) > 0 {
					t.Fatalf("torn at byte %d: got %v, %v set aside, want %v", at-from, jobs, skipped, want)
				}
				if want := fmt.Sprint(n - 1); n > 0 && extra != want {
					t.Errorf("torn at byte %d: extra is %q, want %q", at-from, extra, want)
				}
			}
		})
		start = end
	}
	if jobs, _, _ := g.replayed(t, g.files["queue.log.0"]); !slices.Equal(jobs, loggedJobs(loggedBatches)) {
		t.Errorf("whole: got %v", jobs)
	}
}

// TestLogFlipped changes bytes of a log: at most one entry is lost, with a
// report, and if it ends a job, that runs again. Everything after it is there.
func TestLogFlipped(t *testing.T) {
	t.Parallel()
	g := growLog(t)
	whole := loggedJobs(loggedBatches)
	file := g.files["queue.log.0"]
	start, step := walHeader, 61
	if testing.Short() {
		step = 367
	}
	for _, end := range g.ends[:len(g.ends)-1] { // the last frame may be taken for a torn one
		from := start
		t.Run(fmt.Sprint("frame at ", from), func(t *testing.T) {
			t.Parallel()
			size := frameHead + int(binary.LittleEndian.Uint32(file[from+4:]))
			for at := from % 61; at < size; at += step {
				jobs, _, skipped := g.replayed(t, flipped(file, from+at))
				lost := 0
				for _, seq := range whole {
					if !slices.Contains(jobs, seq) {
						lost++
					}
				}
				if lost > 1 && at >= frameHead || lost > 2 {
					t.Errorf("byte %d: %d jobs lost", at, lost)
				}
				if !slices.Equal(jobs, whole) && len(skipped) == 0 {
					t.Errorf("byte %d: got %v, want %v, and no report", at, jobs, whole)
				}
			}
		})
		start = end
	}
}

// TestLogOfOldRounds sees that old frames behind the end of a log's file do not
// come back.
func TestLogOfOldRounds(t *testing.T) {
	dir := t.TempDir()
	s := quiet(t, openDir(t, dir))
	payload := bytes.Repeat([]byte("x"), maxInline)
	seq, done := uint64(0), uint64(0)
	for round := 0; round < 7; {
		active := s.wal.active
		var batch []store.Op
		for range 50 {
			seq++
			batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{Seq: seq, Function: "f", Payload: payload}})
		}
		for range 49 {
			done++
			batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: done}})
		}
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if s.wal.active != active {
			round++
		}
	}
	abandon(s)
	s = openDir(t, dir)
	next := done
	err := s.Replay(t.Context(), func(r *store.Record) error {
		if next++; r.Seq != next {
			return fmt.Errorf("got job %d, want %d", r.Seq, next)
		}
		return nil
	})
	if err != nil || next != seq {
		t.Errorf("got jobs up to %d, %v, want %d to %d", next, err, done+1, seq)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLogFails sees that a batch which could not be written to the log is not
// seen, and that those before and after it are.
func TestLogFails(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"in the next commit", "in a reading", "after a restart"} {
		t.Run(when, func(t *testing.T) {
			dir := t.TempDir()
			s := quiet(t, openDir(t, dir))
			add := func(seq uint64) error {
				r := &store.Record{Seq: seq, Function: "f", Payload: []byte("payload")}
				return s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: r}})
			}
			if err := add(1); err != nil {
				t.Fatal(err)
			}
			g := s.wal.segments[s.wal.active]
			file := g.file
			readOnly, err := os.Open(file.Name())
			if err != nil {
				t.Fatal(err)
			}
			defer readOnly.Close()
			g.file = readOnly
			var uncertain *store.UncertainError
			if err := add(2); !errors.As(err, &uncertain) {
				t.Fatalf("got %v, want an *UncertainError", err)
			}
			g.file = file
			want := []uint64{1}
			switch when {
			case "in the next commit":
				if err := add(3); err != nil {
					t.Fatal(err)
				}
				want = []uint64{1, 3}
			case "after a restart":
				abandon(s)
				s = openDir(t, dir)
			}
			var got []uint64
			err = s.Replay(t.Context(), func(r *store.Record) error {
				got = append(got, r.Seq)
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLogForgotten sees that a store that was closed has all in its file, and
// that the log has nothing to say at the next start.
func TestLogForgotten(t *testing.T) {
	dir := t.TempDir()
	closed := func(change func(*Store) error) *Store {
		s := quiet(t, openDir(t, dir))
		for seq := range uint64(5) {
			if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: &store.Record{Seq: seq + 1, Function: "f"}}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(s.Close(), change(s)); err != nil {
			t.Fatal(err)
		}
		return openDir(t, dir)
	}
	for _, tc := range []struct {
		change func(*Store) error
		want   int
	}{
		{func(*Store) error { return nil }, 5},
		{func(s *Store) error { return os.Remove(s.walFile(0)) }, 5},
		{func(s *Store) error { return os.Truncate(s.walFile(1), 100) }, 5},
		{func(s *Store) error { return os.Remove(s.file()) }, 0},
	} {
		s := closed(tc.change)
		if n := count(t, s); n != tc.want {
			t.Errorf("got %d jobs, want %d", n, tc.want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogReadOnce sees that the batches of a killed process are read from the
// log once, even if the file that got them is lost.
func TestLogReadOnce(t *testing.T) {
	g := growLog(t)
	dir := t.TempDir()
	for name, b := range g.files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := quiet(t, openDir(t, dir))
	if n, want := count(t, s), len(loggedJobs(loggedBatches)); n != want {
		t.Errorf("got %d jobs, want %d", n, want)
	}
	abandon(s)
	if err := os.Remove(s.file()); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	defer s.Close()
	if n := count(t, s); n != 0 {
		t.Errorf("got %d jobs once more", n)
	}
}

// TestReadWhileClosing sees that a reader of a store that is being closed gets
// an error at worst.
func TestReadWhileClosing(t *testing.T) {
	t.Parallel()
	for range 20 {
		s := openDir(t, t.TempDir())
		if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: &store.Record{Seq: 1, Function: "f"}}}); err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					_, err := s.ReadPayload(t.Context(), &store.Record{Seq: 2})
					if errors.Is(err, os.ErrClosed) {
						return
					}
					if !errors.Is(err, store.ErrNotFound) {
						t.Errorf("got %v, want not found until it is closed", err)
						return
					}
				}
			})
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		readers.Wait()
		if err := s.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}
}

// TestLogScattered sees that the log is rotated before the ends of jobs all
// over the file become one transaction, which would have all these pages in
// memory.
func TestLogScattered(t *testing.T) {
	t.Parallel()
	s := quiet(t, openDir(t, t.TempDir()))
	defer s.Close()
	const limit, perBatch = boltfile.MaxPlaces, 10
	rotated := 0
	for n := range uint64(limit/perBatch*3 + 3) {
		active := s.wal.active
		var batch []store.Op
		for i := range uint64(perBatch) {
			batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: (n*perBatch + i + 1) * 100}})
		}
		if err := s.Commit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if got := s.wal.segments[s.wal.active].need.scattered; got >= limit+perBatch {
			t.Fatalf("the log has %d places of the file, want less than %d", got, limit+perBatch)
		}
		if s.wal.active != active {
			rotated++
		}
	}
	if rotated < 2 {
		t.Errorf("the log was rotated %d times", rotated)
	}
}

// TestEnded sees which Adds never get into the file.
func TestEnded(t *testing.T) {
	op := func(kind store.Kind, seq uint64) store.Op {
		return store.Op{Kind: kind, Record: &store.Record{Seq: seq}}
	}
	var c encoder
	entries, _ := c.encodeBatch([]store.Op{
		op(store.Add, 1), op(store.Add, 2), op(store.Update, 1), op(store.Done, 1),
		{Kind: store.Put, Key: "k"},
		op(store.Add, 3), op(store.Done, 3), op(store.Add, 3), op(store.Done, 9),
	})
	var got []string
	for _, x := range withoutEnded(entries) {
		if x.kind == store.Put {
			got = append(got, "put k")
			continue
		}
		got = append(got, fmt.Sprint(x.kind, " ", seqOf(x.key)))
	}
	want := []string{"add 2", "update 1", "done 1", "put k", "done 3", "add 3", "done 9"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
