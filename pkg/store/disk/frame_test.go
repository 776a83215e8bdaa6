package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"gm/pkg/store"
)

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
	for _, x := range parseFrames(f, file[walHeader:], 0, func(what string, err error) { t.Errorf("%s: %v", what, err) }) {
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

// TestLogForged sees that bytes in a job's payload that look like a frame or an
// entry do not count as one, also if the job's own frame is torn or a size
// before it is wrong.
func TestLogForged(t *testing.T) {
	t.Parallel()
	other := growLog(t)
	forged, _ := (&encoder{}).encodeBatch([]store.Op{{Kind: store.Add, Record: &store.Record{Seq: 666, Function: "forged"}}})
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
	t.Parallel()
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

// FuzzLog reads logs that the store did not write.
func FuzzLog(f *testing.F) {
	g := growLog(f)
	f.Add(g.files["queue.log.0"][:g.ends[2]], uint64(0))
	f.Add(g.files["queue.log.0"][:g.ends[1]], uint64(1))
	f.Add(make([]byte, 3*walAlign), uint64(0))
	f.Add(g.inOldForm(f), uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, floor uint64) {
		w := &wal{segments: [2]*segment{{data: data}, {}}}
		last := floor
		for _, frame := range w.readFrames(floor, func(string, error) {}) {
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
