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
)

// quiet ends what a store does in the background, so that what was committed
// stays in the log until something asks for it.
func quiet(t testing.TB, s *Store) *Store {
	t.Helper()
	s.cancel()
	s.wg.Wait()
	if err := s.settle(); err != nil {
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

// replayed opens a log of whose first file that is left, and returns the jobs that are found, the
// extra, and what was set aside.
func (g *logged) replayed(t testing.TB, first []byte) (jobs []uint64, extra string, skipped []string) {
	t.Helper()
	dir := g.write(t, first)
	s := openWith(t, Config{Dir: dir, Skipped: func(what string, _ error) { skipped = append(skipped, what) }})
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
	g := growLog(t)
	start := walHeader
	for n, end := range g.ends {
		size := int(binary.LittleEndian.Uint32(g.files["queue.log.0"][start+4:]))
		for _, at := range []int{start, start + 1, start + frameHead + 3, start + size/2, start + frameHead + size - 3} {
			torn := bytes.Clone(g.files["queue.log.0"])
			clear(torn[at:])
			jobs, extra, skipped := g.replayed(t, torn)
			if want := loggedJobs(n); !slices.Equal(jobs, want) || len(skipped) > 0 {
				t.Fatalf("torn at %d of batch %d: got %v, %v set aside, want %v", at-start, n, jobs, skipped, want)
			}
			if want := fmt.Sprint(n - 1); n > 0 && extra != want {
				t.Errorf("torn in batch %d: extra is %q, want %q", n, extra, want)
			}
		}
		start = end
	}
	if jobs, _, _ := g.replayed(t, g.files["queue.log.0"]); !slices.Equal(jobs, loggedJobs(loggedBatches)) {
		t.Errorf("whole: got %v", jobs)
	}
}

// TestLogFlipped changes bytes of a log: a record is lost at most with what
// ends others, which run again, and it is told. What comes after is there.
func TestLogFlipped(t *testing.T) {
	g := growLog(t)
	whole := loggedJobs(loggedBatches)
	file := g.files["queue.log.0"]
	start := walHeader
	for _, end := range g.ends[:len(g.ends)-1] { // the last frame may be taken for a torn one
		size := frameHead + int(binary.LittleEndian.Uint32(file[start+4:]))
		for at := start % 61; at < size; at += 61 {
			jobs, _, skipped := g.replayed(t, flipped(file, start+at))
			lost := 0
			for _, seq := range whole {
				if !slices.Contains(jobs, seq) {
					lost++
				}
			}
			if lost > 1 && at >= frameHead || lost > 2 {
				t.Errorf("byte %d of the frame at %d: %d jobs lost", at, start, lost)
			}
			if !slices.Equal(jobs, whole) && len(skipped) == 0 {
				t.Errorf("byte %d of the frame at %d: got %v, want %v, and nothing is told", at, start, jobs, whole)
			}
		}
		start = end
	}
}

// TestLogOfOldRounds sees that what a file of the log still has of the time
// before it was begun anew does not come back.
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

// TestLogReadOnce sees that what was read from the log of a process that was
// killed is not read again, even if the file that has it since is lost.
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

// TestReadWhileClosing sees that who reads from a store that is being closed
// gets an error at worst.
func TestReadWhileClosing(t *testing.T) {
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

// TestLogScattered sees that the ends of jobs all over the file do not gather for
// one transaction, which has what it touches in memory.
func TestLogScattered(t *testing.T) {
	s := quiet(t, openDir(t, t.TempDir()))
	defer s.Close()
	const limit, perBatch = dropEvery / faultSize, 10
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
	entries, _ := c.encode([]store.Op{
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

// inOldForm returns the first file of a log as gm wrote it when frames had no
// salt.
func (g *logged) inOldForm(t testing.TB) []byte {
	t.Helper()
	file := g.files["queue.log.0"]
	f, known := formOf(file)
	if !known {
		t.Fatal("the log has no header")
	}
	var old []byte
	for _, x := range readFrames(f, file[walHeader:], 0, func(what string, err error) { t.Errorf("%s: %v", what, err) }) {
		start := len(old)
		old = append(old, make([]byte, oldFrameHead)...)
		for i := range x.entries {
			old = appendEntry(old, &x.entries[i])
		}
		frame := old[start:]
		binary.LittleEndian.PutUint32(frame, oldFrameMagic)
		binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-oldFrameHead))
		binary.LittleEndian.PutUint64(frame[8:], x.number)
		binary.LittleEndian.PutUint32(frame[16:], form{old: true}.sum(frame))
		old = append(old, make([]byte, form{old: true}.room(len(frame)-oldFrameHead)-len(frame))...)
	}
	return append(old, make([]byte, walSize-len(old))...)
}

// TestLogInOldForm reads a log that has no salt yet, once: from then on the log
// has one.
func TestLogInOldForm(t *testing.T) {
	g := growLog(t)
	g.files["queue.log.1"] = make([]byte, walSize)
	jobs, extra, skipped := g.replayed(t, g.inOldForm(t))
	if want := loggedJobs(loggedBatches); !slices.Equal(jobs, want) || extra != fmt.Sprint(loggedBatches-1) || len(skipped) > 0 {
		t.Errorf("got %v, extra %q, %q set aside, want %v", jobs, extra, skipped, want)
	}
}

// TestLogForged sees that what looks like a frame or an entry in the payload of
// a job is neither: not when its own frame is torn, and not when a size before
// it is wrong.
func TestLogForged(t *testing.T) {
	other := growLog(t)
	forged, _ := (&encoder{}).encode([]store.Op{{Kind: store.Add, Record: &store.Record{Seq: 666, Function: "forged"}}})
	f, _ := formOf(other.files["queue.log.0"])
	var frames, old []byte
	for n := range uint64(8) { // with the salt of another log, and with none
		frames = appendFrame(appendFrame(frames, n+3, f.salt, forged), n+3, 0, forged)
	}
	old = other.inOldForm(t)[:8*walAlign]
	entries := appendEntry(nil, &forged[0])
	for _, tc := range []struct {
		name    string
		payload []byte
	}{
		{"frames", frames},
		{"frames of another log", other.files["queue.log.0"][walHeader:other.ends[6]]},
		{"old frames", old},
		{"entries", append(make([]byte, 4000), bytes.Repeat(append(make([]byte, 400), entries...), 8)...)},
		{"entries with sums", append(make([]byte, 4000), bytes.Repeat(append(make([]byte, 404), entries...), 8)...)},
	} {
		gap := 0
		for range 2 { // the second time, the payload is where a search looks
			log, start, end := forgedLog(t, gap, tc.payload)
			at := walHeader + start + bytes.Index(log.files["queue.log.0"][walHeader+start:], tc.payload)
			if gap > 0 && at%walAlign != 0 {
				t.Fatalf("%s: the payload is at %d", tc.name, at)
			}
			gap = walAlign - at%walAlign
			torn := bytes.Clone(log.files["queue.log.0"])
			clear(torn[walHeader+start:][:walAlign])
			clear(torn[walHeader+end:])
			resized := bytes.Clone(log.files["queue.log.0"])
			resized[walHeader+start+frameHead+entrySum+1+1+8]++
			for what, file := range map[string][]byte{"torn": torn, "a size is wrong": resized} {
				dir := log.write(t, file)
				s := openWith(t, Config{Dir: dir})
				var jobs []uint64
				err := s.Replay(t.Context(), func(r *store.Record) error {
					jobs = append(jobs, r.Seq)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if len(jobs) < 3 || slices.Max(jobs) > 5 {
					t.Errorf("%s, %s: got jobs %v", tc.name, what, jobs)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// forgedLog returns a log in which job 4 has a payload, after a gap of zeros,
// and where its frame starts and ends among the frames.
func forgedLog(t *testing.T, gap int, payload []byte) (g *logged, start, end int) {
	t.Helper()
	dir := t.TempDir()
	s := quiet(t, openDir(t, dir))
	commit := func(r *store.Record) {
		if err := s.Commit(t.Context(), []store.Op{{Kind: store.Add, Record: r}}); err != nil {
			t.Fatal(err)
		}
	}
	for seq := range uint64(3) {
		commit(&store.Record{Seq: seq + 1, Function: "f", Payload: []byte("p")})
	}
	start = len(s.wal.segments[0].data)
	commit(&store.Record{Seq: 4, Function: "f", Payload: append(make([]byte, gap), payload...)})
	end = len(s.wal.segments[0].data)
	commit(&store.Record{Seq: 5, Function: "f"})
	abandon(s)
	return readLogged(t, dir), start, end
}

// TestLogHeaderBroken reads a log whose header is broken: the other file has the
// same.
func TestLogHeaderBroken(t *testing.T) {
	g := growLog(t)
	for _, other := range []bool{true, false} {
		if !other {
			g.files["queue.log.1"] = make([]byte, walSize)
		}
		for _, at := range []int{0, 5, 9, 17} {
			jobs, _, skipped := g.replayed(t, flipped(g.files["queue.log.0"], at))
			if want := loggedJobs(loggedBatches); !slices.Equal(jobs, want) || len(skipped) != 1 {
				t.Errorf("byte %d of the header, the other file's is whole: %v: got %v, %q set aside, want %v", at, other, jobs, skipped, want)
			}
		}
	}
}

// FuzzLog has the log read what it never wrote.
func FuzzLog(f *testing.F) {
	g := growLog(f)
	f.Add(g.files["queue.log.0"][:g.ends[2]], uint64(0))
	f.Add(g.files["queue.log.0"][:g.ends[1]], uint64(1))
	f.Add(make([]byte, 3*walAlign), uint64(0))
	f.Add(g.inOldForm(f), uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, floor uint64) {
		w := &wal{segments: [2]*segment{{data: data}, {}}}
		last := floor
		for _, frame := range w.gather(floor, func(string, error) {}) {
			if frame.number <= last {
				t.Fatalf("frame %d after %d", frame.number, last)
			}
			last = frame.number
			for i := range frame.entries {
				x := &frame.entries[i]
				again, rest, err := cutEntry(appendEntry(nil, x))
				if err != nil || len(rest) > 0 || again.kind != x.kind || !bytes.Equal(again.value, x.value) {
					t.Fatalf("entry %v comes back as %v, %v", x, again, err)
				}
			}
		}
	})
}
