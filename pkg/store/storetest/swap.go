package storetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gm/pkg/store"
)

// Swap is a place that gearmand and a store can both use, though not at the
// same time.
type Swap struct {
	// Options are gearmand's options for it.
	Options []string
	// Open opens the store.
	Open func(t testing.TB) store.Store
	// AsIs opens the store for reading only, and Dump prints its whole contents
	// except the lock's holder: both are for RunAsIs.
	AsIs func(t testing.TB) store.Store
	Dump func(t testing.TB) string
}

// RunSwap checks that a store finds the jobs that gearmand has queued, and the
// other way round: all of them, once, with their payloads. Each test has an
// empty place of its own.
func RunSwap(t *testing.T, f func(t *testing.T) Swap) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Swap)
	}{
		{"from gearmand", testFromGearmand},
		{"to gearmand", testToGearmand},
		{"there and back", testThereAndBack},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, f(t)) })
	}
}

// swapped are jobs that both take. gearmand's functions must be words.
func swapped() (jobs []GearmandJob) {
	for i := range 30 {
		jobs = append(jobs, GearmandJob{fmt.Sprint("f", i%3), fmt.Sprint("unique-", i), fmt.Sprint("payload ", i)})
	}
	for i, p := range []string{"", "nul\x00 \x00\x00", `it's "quoted" \'`, "\xff\xfe", "line\nbreak\r\n", string(payload(100_000))} {
		jobs = append(jobs, GearmandJob{"f0", fmt.Sprint("payload-", i), p})
	}
	return append(jobs,
		GearmandJob{"f0", "-", "coalesces on its payload"},
		GearmandJob{"f1", "Unique-1", "another than unique-1's"},
		GearmandJob{"F1", "unique-1", "another than f1's"},
		GearmandJob{"f0", "it's", "quoted"},
		GearmandJob{"f0", "caf\u00e9", "not ASCII"},
		GearmandJob{"f\u00fcnf", "u", "not ASCII either"},
		GearmandJob{"f0", strings.Repeat("u", 63), "long"},
	)
}

func byName(a, b GearmandJob) int {
	return cmp.Or(strings.Compare(a.Function, b.Function), strings.Compare(a.Unique, b.Unique), strings.Compare(a.Payload, b.Payload))
}

func compareSwapped(t *testing.T, what string, got, want []GearmandJob) {
	t.Helper()
	slices.SortFunc(got, byName)
	want = slices.SortedFunc(slices.Values(want), byName)
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			g, w := GearmandJob{}, GearmandJob{}
			if i < len(got) {
				g = got[i]
			}
			if i < len(want) {
				w = want[i]
			}
			if g != w {
				t.Fatalf("%s: got %d jobs, want %d; number %d is %.200q, want %.200q", what, len(got), len(want), i, g, w)
			}
		}
	}
}

// functions returns those of jobs, and more.
func functions(jobs []GearmandJob, more ...string) []string {
	names := more
	for _, j := range jobs {
		names = append(names, j.Function)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// openSwap opens the store, and locks it if it has a lock.
func openSwap(t *testing.T, place Swap) (s store.Store, jobs []store.Record) {
	t.Helper()
	s = place.Open(t)
	if l, ok := s.(store.Locker); ok {
		eventually(t, "lock", func() bool { return l.TryLock(t.Context(), "swap") == nil })
	}
	err := s.Replay(t.Context(), func(r *store.Record) error {
		jobs = append(jobs, *r)
		return nil
	})
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	return s, jobs
}

func commitSwap(t *testing.T, s store.Store, batch []store.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), batch); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func closeSwap(t *testing.T, s store.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func testFromGearmand(t *testing.T, place Swap) {
	// gearmand creates the place.
	g := StartGearmand(t, place.Options...)
	var want []GearmandJob
	for _, j := range swapped() {
		if g.offer(t, submitJobBG, j.Function, j.Unique, j.Payload) { // gearmand's MySQL plugin refuses names that differ only in case
			want = append(want, j)
		}
	}
	if len(want) < len(swapped())-3 {
		t.Fatalf("gearmand has taken only %d of %d jobs", len(want), len(swapped()))
	}
	at := time.Now().Add(time.Hour).Unix()
	g.submit(t, submitJobHighBG, "high", "h", "soon")
	g.submit(t, submitJobLowBG, "low", "l", "late")
	g.submit(t, submitJobEpoch, "later", "e", fmt.Sprint(at), "in an hour")
	g.Stop()

	for range 2 {
		s, jobs := openSwap(t, place)
		var got []GearmandJob
		for _, r := range jobs {
			switch r.Function {
			case "high", "low":
				if w := map[string]uint8{"high": 0, "low": 2}[r.Function]; r.Priority != w {
					t.Errorf("%s: got priority %d, want %d", r.Function, r.Priority, w)
				}
			case "later":
				if r.RunAt != at*1000 || string(r.Payload) != "in an hour" {
					t.Errorf("delayed: got %q at %d, want it at %d", r.Payload, r.RunAt, at*1000)
				}
			default:
				if r.Priority != 1 || r.RunAt != 0 {
					t.Errorf("%s: got priority %d, run at %d, want 1, 0", r.Unique, r.Priority, r.RunAt)
				}
				got = append(got, GearmandJob{r.Function, r.Unique, string(r.Payload)})
			}
		}
		compareSwapped(t, "from gearmand", got, want)
		closeSwap(t, s)
	}
	s, jobs := openSwap(t, place)
	var ends []store.Op
	for _, r := range jobs {
		ends = append(ends, store.Op{Kind: store.Done, Record: &store.Record{Seq: r.Seq, Function: r.Function, Unique: r.Unique}})
	}
	commitSwap(t, s, ends)
	closeSwap(t, s)
	if s, jobs = openSwap(t, place); len(jobs) > 0 {
		t.Errorf("after the end of all: got %d jobs, want 0", len(jobs))
	}
	closeSwap(t, s)
}

func testToGearmand(t *testing.T, place Swap) {
	// The store creates the place.
	s, _ := openSwap(t, place)
	want := swapped()
	seq := store.FirstSeq(time.Now())
	var batch []store.Op
	add := func(j GearmandJob) {
		seq++
		batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{
			Seq: seq, Function: j.Function, Unique: j.Unique, Payload: []byte(j.Payload), Priority: 1, Accepted: 1,
		}})
	}
	for _, j := range want {
		add(j)
	}
	for i := range 5 {
		none := GearmandJob{"none", "", fmt.Sprint("without a unique ", i)}
		add(none)
		want = append(want, none)
	}
	for _, n := range []int{64, 65, 255} { // longer than gearmand's limit
		long := GearmandJob{"none", strings.Repeat("l", n), fmt.Sprint("with a unique of ", n)}
		add(long)
		want = append(want, long)
	}
	gone := GearmandJob{"f0", "gone", "done before"}
	add(gone)
	batch = append(batch, store.Op{Kind: store.Done, Record: &store.Record{Seq: seq, Function: "f0", Unique: "gone"}})
	batch = append(batch, put("extra", []byte("which gearmand has no use for")))
	commitSwap(t, s, batch)
	closeSwap(t, s)

	for range 2 { // draining leaves nothing
		g := StartGearmand(t, place.Options...)
		got := g.Drain(t, functions(swapped(), "none")...)
		g.Stop()
		for i := range got {
			// The store replaces a key that gearmand's table, or its plugin,
			// cannot have.
			if strings.HasPrefix(got[i].Unique, "gm-") || strings.HasPrefix(got[i].Unique, "gm:") {
				same := func(j GearmandJob) bool { return j.Function == got[i].Function && j.Payload == got[i].Payload }
				if n := slices.IndexFunc(want, same); n >= 0 {
					got[i].Unique = want[n].Unique
				}
			}
		}
		compareSwapped(t, "to gearmand", got, want)
		want = nil
	}
	if s, jobs := openSwap(t, place); len(jobs) > 0 {
		t.Errorf("after gearmand has drained it: got %d jobs, want 0", len(jobs))
	} else {
		closeSwap(t, s)
	}
}

// testThereAndBack runs gm and gearmand in turn on one queue.
func testThereAndBack(t *testing.T, place Swap) {
	g := StartGearmand(t, place.Options...)
	g.Submit(t, GearmandJob{"f", "1", "by gearmand"}, GearmandJob{"f", "2", "by gearmand"})
	g.Stop()

	s, jobs := openSwap(t, place)
	if len(jobs) != 2 {
		t.Fatalf("got %d jobs, want 2", len(jobs))
	}
	seq := jobs[1].Seq
	commitSwap(t, s, []store.Op{
		{Kind: store.Done, Record: &store.Record{Seq: jobs[0].Seq, Function: "f", Unique: jobs[0].Unique}},
		{Kind: store.Update, Record: &store.Record{Seq: seq, Function: "f", Unique: jobs[1].Unique, Attempts: 3}},
		{Kind: store.Add, Record: &store.Record{Seq: seq + 1, Function: "f", Unique: "3", Payload: []byte("by gm"), Priority: 1}},
		{Kind: store.Add, Record: &store.Record{Seq: seq + 2, Function: "f", Payload: []byte("by gm"), Priority: 1}},
	})
	closeSwap(t, s)

	g = StartGearmand(t, place.Options...)
	g.Submit(t, GearmandJob{"f", "5", "by gearmand"})
	g.Stop()

	s, jobs = openSwap(t, place)
	got := ""
	for _, r := range jobs {
		got += fmt.Sprintf("%s %q tried %d; ", r.Unique, r.Payload, r.Attempts)
	}
	want := fmt.Sprintf(`%s "by gearmand" tried 3; 3 "by gm" tried 0;  "by gm" tried 0; 5 "by gearmand" tried 0; `, jobs[0].Unique)
	if got != want {
		t.Errorf("after three turns:\n got %s\nwant %s", got, want)
	}
	closeSwap(t, s)
}

// RunAsIs checks that a store opened for reading only finds the jobs of an
// initially empty place, and changes nothing: first the jobs of gearmand, and
// then those of both.
func RunAsIs(t *testing.T, place Swap) {
	g := StartGearmand(t, place.Options...)
	g.Submit(t, GearmandJob{"f", "1", "by gearmand"}, GearmandJob{"f\u00fcnf", "caf\u00e9", "not ASCII"})
	g.Stop()
	readAsIs(t, place, `f "1" "by gearmand"`, "f\u00fcnf \"caf\u00e9\" \"not ASCII\"")

	s, jobs := openSwap(t, place)
	commitSwap(t, s, []store.Op{
		{Kind: store.Add, Record: &store.Record{Seq: jobs[1].Seq + 1, Function: "f", Payload: []byte("by gm"), Priority: 1}},
		put("extra", []byte("value")),
	})
	closeSwap(t, s)
	g = StartGearmand(t, place.Options...)
	g.Submit(t, GearmandJob{"f", "9", "by gearmand"})
	g.Stop()
	got := readAsIs(t, place, `f "1" "by gearmand"`, "f\u00fcnf \"caf\u00e9\" \"not ASCII\"", `f "" "by gm"`, `f "9" "by gearmand"`, `extra "value"`)
	if last := got[len(got)-2]; last != `f "9" "by gearmand"` {
		t.Errorf("as it is: the last job is %s, want the one that gearmand has added", last)
	}
}

// readAsIs reads everything, in any order, and checks that it stays unchanged.
func readAsIs(t *testing.T, place Swap, want ...string) (got []string) {
	t.Helper()
	before := place.Dump(t)
	s := place.AsIs(t)
	if l, ok := s.(store.Locker); ok {
		eventually(t, "lock", func() bool { return l.TryLock(t.Context(), "reader") == nil })
	}
	if c, ok := s.(store.Checker); ok {
		if err := c.Check(t.Context(), func(what string) { t.Errorf("check: %s", what) }); err != nil {
			t.Errorf("check: %v", err)
		}
	}
	last := uint64(0)
	err := s.Replay(t.Context(), func(r *store.Record) error {
		if r.Seq <= last {
			t.Errorf("seq %d after %d", r.Seq, last)
		}
		last = r.Seq
		got = append(got, fmt.Sprintf("%s %q %q", r.Function, r.Unique, r.Payload))
		return nil
	})
	if err == nil {
		err = s.Extras(t.Context(), "", func(key string, value []byte) error {
			got = append(got, fmt.Sprintf("%s %q", key, value))
			return nil
		})
	}
	if err != nil {
		t.Fatalf("read as it is: %v", err)
	}
	closeSwap(t, s)
	if g, w := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)); !slices.Equal(g, w) {
		t.Errorf("as it is: got %q, want %q", g, w)
	}
	if after := place.Dump(t); after != before {
		t.Errorf("before it was read:\n%s\nafter:\n%s", before, after)
	}
	return got
}
