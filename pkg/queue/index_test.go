package queue

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gm/pkg/store"
)

type silent struct{}

func (silent) Wake(*Peer)                   {}
func (silent) Requeued(*Job, *Peer, Reason) {}
func (silent) Ended(*Job, Reason)           {}
func submitted(q *Queue, s Submission) *Job { got, _ := q.Submit(1, &s); return got.Job }
func inBackground(fn, unique string) Submission {
	return Submission{Function: []byte(fn), Unique: []byte(unique), Background: true, Payload: []byte("x")}
}

func TestHandle(t *testing.T) {
	for _, c := range []struct {
		host string
		seq  uint64 // the last before the job
		want string
	}{
		{"box", 0, "H:box:1"},
		{"box.example.org", 41, "H:box.example.org:42"},
		{"", 0, "H::1"},
		{"::1", 0, "H:::1:1"},
		{strings.Repeat("h", 80), math.MaxUint64 - 1, "H:" + strings.Repeat("h", 40) + ":18446744073709551615"},
	} {
		q := New(Config{Host: c.host, FirstSeq: c.seq}, silent{})
		j := submitted(q, inBackground("f", ""))
		if got := j.Handle(); got != c.want || len(got) > 63 {
			t.Errorf("Handle on %q is %q of %d bytes, want %q", c.host, got, len(got), c.want)
		}
		if q.Lookup([]byte(j.Handle())) != j {
			t.Errorf("Lookup(%q) finds nothing", j.Handle())
		}
	}
}

// The handles of one queue are right in any order: those in a row, those with
// other first digits, and those with zeros among the last digits.
func TestHandlesInAnyOrder(t *testing.T) {
	h := handles{prefix: "H:box:"}
	numbers := []uint64{0, 1, 9_999, 10_000, 10_001, 19_999, 20_000, 5, 1_790_000_000_000_000_007, 1_790_000_000_000_009_999, 1_790_000_000_000_010_000, 10_050, math.MaxUint64}
	for range 1000 {
		for _, seq := range append(numbers, rand.Uint64(), rand.Uint64N(100_000)) {
			want := "H:box:" + strconv.FormatUint(seq, 10)
			if got := string(h.append(nil, seq)); got != want {
				t.Fatalf("append(%d) is %q, want %q", seq, got, want)
			}
		}
	}
}

func TestLookupOfWhatIsNoHandle(t *testing.T) {
	q := New(Config{Host: "box"}, silent{})
	submitted(q, inBackground("f", ""))
	for _, handle := range []string{
		"", "1", "H:box", "H:box:", "H:box:01", "H:box:+1", "H:box:-1", "H:box:1 ", "H:box:1\x00", "H:box:0x1",
		"H:box:2", "H:box:18446744073709551617", "H:box:1:", "H:1:box",
	} {
		if j := q.Lookup([]byte(handle)); j != nil {
			t.Errorf("Lookup(%q) is job %d, want none", handle, j.Seq())
		}
	}
}

// The host in a handle is the host of the server that gave it out.
func TestLookupWithAnyHost(t *testing.T) {
	q := New(Config{Host: "box", DeadMax: 1}, silent{})
	j := submitted(q, inBackground("f", ""))
	if err := q.RestoreDeadLetter(1, &DeadLetter{Died: 1, Record: store.Record{Seq: 7, Function: "f"}}); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"H:box:", "H:other.example.org:", "H::1:", "H::", "jobs:", ":"} {
		if q.Lookup([]byte(prefix+"1")) != j {
			t.Errorf("Lookup(%q) finds nothing", prefix+"1")
		}
		if q.LookupDeadLetter([]byte(prefix+"7")) == nil {
			t.Errorf("LookupDeadLetter(%q) finds nothing", prefix+"7")
		}
	}
	w := q.NewPeer(nil)
	q.CanDo(1, w, []byte("f"), 0)
	q.Grab(1, w)
	if q.Held(w, []byte("H:other:1")) != j {
		t.Error("Held finds nothing")
	}
}

func TestJobsInOrderOfSeqHoweverTheyCome(t *testing.T) {
	q := New(Config{}, silent{})
	seqs := []uint64{700, 5, 64, 63, 6400, 128, 1, 701, 127, math.MaxUint64 - 5}
	for _, seq := range seqs {
		if _, err := q.Restore(1, &store.Record{Seq: seq, Function: "f"}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(seqs)
	for len(seqs) > 0 {
		var got []uint64
		q.Jobs(func(j *Job) bool {
			got = append(got, j.Seq())
			return true
		})
		if !slices.Equal(got, seqs) {
			t.Fatalf("Jobs shows %v, want %v", got, seqs)
		}
		at := len(seqs) / 2
		q.Cancel(1, q.jobs.job(seqs[at]))
		seqs = slices.Delete(seqs, at, at+1)
	}
	if len(q.jobs.pages) > 1 { // the last one that was used may stay
		t.Errorf("%d pages are left", len(q.jobs.pages))
	}
}

// While a journal is read, two runs of numbers grow at once.
func TestPagesOfTwoRuns(t *testing.T) {
	var x jobIndex
	x.initPages(0)
	var want []uint64
	put := func(seq uint64) {
		x.addJob(&Job{seq: seq})
		want = append(want, seq)
	}
	for i := range uint64(20) {
		put(1_000_000 + i*pageSize)
		put(1000 + i*pageSize)
	}
	put(5)                                     // far below the last
	put(1000 + 7*pageSize + 1)                 // on a page that is there
	put(500_000)                               // far above the last, and below others
	for _, seq := range []uint64{500_000, 5} { // a near page that goes, with and without one before it
		x.removeJob(x.job(seq))
		want = slices.DeleteFunc(want, func(s uint64) bool { return s == seq })
		put(seq - 1)
	}
	slices.Sort(want)
	var got []uint64
	x.after(0, math.MaxInt, func(j *Job) bool {
		got = append(got, j.seq)
		return true
	})
	if !slices.Equal(got, want) || x.n != len(want) {
		t.Errorf("jobs are %v, want %v", got, want)
	}
}

func TestIterationStops(t *testing.T) {
	q := New(Config{}, silent{})
	p := q.NewPeer(nil)
	for _, fn := range []string{"f", "g"} {
		q.CanDo(1, p, []byte(fn), 0)
		for range 2 {
			submitted(q, Submission{Function: []byte(fn), Unique: []byte("u"), Client: p})
			submitted(q, inBackground(fn, ""))
		}
	}
	q.Grab(1, p)
	q.Grab(1, p)
	n := 0
	q.Jobs(func(*Job) bool { n++; return false })
	q.Functions(func(*Function) bool { n++; return false })
	var walk PeerWalk
	p.BeginWalk(&walk)
	walk.Jobs(1, func(*Job) { n++ })
	walk.End()
	j, _ := q.ByUnique([]byte("u"), nil, 9)
	j.Waiters(func(*Peer) bool { n++; return false })
	if n != 4 {
		t.Errorf("%d calls, want 1 of each", n)
	}
}

// Two submissions, or two ability lists, with one hash must stay apart. Such pairs
// cannot be found, so the test puts the wrong one where the right one would be.
func TestEqualHashIsNotEnough(t *testing.T) {
	q := New(Config{}, silent{})
	f := q.functionOrNew([]byte("f"))
	for _, c := range []struct{ there, asked Submission }{
		{inBackground("f", "u"), inBackground("f", "v")},
		{inBackground("g", "u"), inBackground("f", "u")},
		{Submission{Function: []byte("f"), Unique: []byte("-"), Payload: []byte("x")}, Submission{Unique: []byte("-"), Payload: []byte("y")}},
	} {
		hash, _ := q.uniqueHash(f, c.asked.Unique, c.asked.Payload)
		q.uniques[hash] = submitted(q, c.there)
		if j := q.findUnique(f, c.asked.Unique, c.asked.Payload); j != nil {
			t.Errorf("unique %q with %q finds job of %s with %q", c.asked.Unique, c.asked.Payload, j.Function().Name(), j.Unique())
		}
	}

	v, w := q.NewPeer(nil), q.NewPeer(nil)
	q.CanDo(1, v, []byte("f"), 0)
	q.CanDo(1, w, []byte("g"), 0)
	wrong := q.classOf(v)
	hash := w.hashAbilities(q.seed)
	wrong.hash, q.classes = hash, map[uint64]*class{hash: wrong}
	right := q.classOf(w)
	if right == wrong || !right.fits(w) || wrong.fits(w) {
		t.Error("a worker is in a class with other functions")
	}
	q.Remove(1, v, 9)
	if q.classes[hash] != right || right.sameHash != nil {
		t.Error("the class is not found behind the one that is gone")
	}
	q.Remove(1, w, 9)
	if len(q.classes) != 0 {
		t.Error("a class is left")
	}
}

func TestRecordAndRestoreAreInverse(t *testing.T) {
	for _, want := range []store.Record{
		{Seq: 1, Function: "f", Payload: []byte("x"), Priority: 1, Accepted: 5},
		{Seq: 9, Function: "g", Unique: "u", Reducer: "r", Payload: []byte("payload"), Priority: 2, RunAt: 99, Accepted: 5, Attempts: 3},
	} {
		q := New(Config{}, silent{})
		r := want
		j, err := q.Restore(10, &r)
		if err != nil {
			t.Fatal(err)
		}
		got := q.Record(j)
		if string(got.Payload) != string(want.Payload) {
			t.Errorf("payload is %q, want %q", got.Payload, want.Payload)
		}
		got.Payload, r.Payload = nil, nil
		want.Payload = nil
		if !equalRecords(got, want) {
			t.Errorf("record is %+v, want %+v", got, want)
		}
		if !j.Journaled() || !j.Background() {
			t.Error("a restored job must be a journaled background job")
		}
		j.SetJournaled(false)
		if j.Journaled() {
			t.Error("SetJournaled(false) is not kept")
		}
	}
	q := New(Config{}, silent{})
	if _, err := q.Restore(1, &store.Record{Seq: 1, Function: "f", Priority: 3}); err == nil {
		t.Error("a record of priority 3 is taken")
	}
}

func equalRecords(a, b store.Record) bool {
	return a.Seq == b.Seq && a.Function == b.Function && a.Unique == b.Unique && a.Reducer == b.Reducer &&
		a.Priority == b.Priority && a.RunAt == b.RunAt && a.Accepted == b.Accepted && a.Attempts == b.Attempts
}

func TestRestoreTakesThePayloadOver(t *testing.T) {
	q := New(Config{}, silent{})
	payload := []byte("payload")
	j, err := q.Restore(1, &store.Record{Seq: 1, Function: "f", Payload: payload})
	if err != nil || &j.Payload()[0] != &payload[0] {
		t.Errorf("payload was copied (%v)", err)
	}
}

func TestBitset(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 4096, 4097, 20000} {
		b := newBitset(n)
		for _, i := range []int{0, n / 2, n - 1} {
			if i < 0 || i >= n {
				continue
			}
			b.set(i)
			for _, c := range []struct{ from, want int }{{0, i}, {i, i}, {i + 1, -1}} {
				if got := b.next(c.from); got != c.want {
					t.Errorf("of %d with %d: next(%d) is %d, want %d", n, i, c.from, got, c.want)
				}
			}
			b.clear(i)
			if got := b.next(0); got != -1 {
				t.Errorf("of %d: next(0) is %d after clear", n, got)
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		value interface{ String() string }
		want  string
	}{
		{Held, "held"},
		{Delayed, "delayed"},
		{Waiting, "waiting"},
		{Running, "running"},
		{Ended, "ended"},
		{State(9), "state 9"},
		{Completed, "completed"},
		{Failed, "failed"},
		{Cancelled, "cancelled"},
		{Exhausted, "retries exhausted"},
		{Abandoned, "abandoned"},
		{Purged, "purged"},
		{WorkerLost, "worker lost"},
		{TimedOut, "timed out"},
		{GivenBack, "given back"},
		{Reason(99), "reason 99"},
	} {
		if got := c.value.String(); got != c.want {
			t.Errorf("String is %q, want %q", got, c.want)
		}
	}
}

func TestSnapshotSums(t *testing.T) {
	f := FunctionSnapshot{High: 1, Normal: 2, Low: 4, Delayed: 8, Running: 16}
	if f.Waiting() != 7 || f.Total() != 31 {
		t.Errorf("Waiting is %d and Total %d, want 7 and 31", f.Waiting(), f.Total())
	}
}

func TestFunctionAccessors(t *testing.T) {
	q := New(Config{}, silent{})
	p := q.NewPeer(nil)
	q.CanDo(1, p, []byte("f"), 0)
	q.SetLimits([]byte("f"), [3]int{1, 2, 3})
	if err := q.Pause(1, []byte("f"), true); err != nil {
		t.Fatal(err)
	}
	q.Functions(func(f *Function) bool {
		if f.Name() != "f" || f.Workers() != 1 || !f.Paused() || f.Limits() != [3]int{1, 2, 3} {
			t.Errorf("function is %s %d %v %v", f.Name(), f.Workers(), f.Paused(), f.Limits())
		}
		return true
	})
}

func TestNamesThatAreTooLong(t *testing.T) {
	q := New(Config{}, silent{})
	long := make([]byte, maxName+1)
	for _, s := range []Submission{
		{Function: []byte("f"), Unique: long},
		{Function: []byte("f"), Reducer: long},
	} {
		if _, err := q.Submit(1, &s); !errors.Is(err, ErrTooLong) {
			t.Errorf("Submit: %v, want %v", err, ErrTooLong)
		}
		r := store.Record{Seq: 1, Function: "f", Unique: string(s.Unique), Reducer: string(s.Reducer)}
		if _, err := q.Restore(1, &r); !errors.Is(err, ErrTooLong) {
			t.Errorf("Restore: %v, want %v", err, ErrTooLong)
		}
	}
	j := submitted(q, Submission{Function: []byte("f"), Unique: long[1:], Reducer: long[1:], Payload: []byte("x"), Background: true})
	if len(j.Unique()) != maxName || len(j.Reducer()) != maxName || string(j.Payload()) != "x" {
		t.Errorf("unique of %d, reducer of %d, payload %q", len(j.Unique()), len(j.Reducer()), j.Payload())
	}
}
