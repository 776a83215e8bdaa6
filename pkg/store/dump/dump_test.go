package dump_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/disk"
	"gm/pkg/store/dump"
)

// journal is a store in memory that lists its contents.
type journal struct {
	jobs    map[uint64]*store.Record
	extras  map[string][]byte
	caps    store.Caps
	batches []int // the sizes of all batches
	err     error // of each call, if not nil
}

func newJournal(jobs ...*store.Record) *journal {
	j := &journal{jobs: map[uint64]*store.Record{}, extras: map[string][]byte{}, caps: store.Caps{Lists: true}}
	for _, r := range jobs {
		j.jobs[r.Seq] = r
	}
	return j
}

func (j *journal) Commit(_ context.Context, batch []store.Op) error {
	j.batches = append(j.batches, len(batch))
	for _, op := range batch {
		switch op.Kind {
		case store.Add:
			j.jobs[op.Record.Seq] = op.Record
		case store.Put:
			j.extras[op.Key] = op.Value
		default:
			return fmt.Errorf("commit %v: only additions are expected", op.Kind)
		}
	}
	return j.err
}

func (j *journal) Replay(_ context.Context, f func(*store.Record) error) error {
	for _, seq := range slices.Sorted(maps.Keys(j.jobs)) {
		if err := f(j.jobs[seq]); err != nil {
			return err
		}
	}
	return j.err
}

func (j *journal) Extra(_ context.Context, key string) ([]byte, error) {
	if value, ok := j.extras[key]; ok {
		return value, nil
	}
	return nil, store.ErrNotFound
}

func (j *journal) Extras(_ context.Context, _ string, f func(string, []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(j.extras)) {
		if err := f(key, j.extras[key]); err != nil {
			return err
		}
	}
	return j.err
}

func (j *journal) Caps() store.Caps { return j.caps }
func (j *journal) Close() error     { return nil }

const jobA = `{"seq":5,"function":"f","unique":"a","payload":"QQ=="}` + "\n"

// journalA returns a journal with the job of jobA.
func journalA() *journal {
	return newJournal(&store.Record{Seq: 5, Function: "f", Unique: "a", Payload: []byte("A"), Priority: 1})
}

func TestWrite(t *testing.T) {
	j := journalA()
	j.extras["k"] = []byte("<v>")
	j.jobs[2] = &store.Record{Seq: 2, Function: "\xff", Priority: 0}
	j.jobs[3] = &store.Record{Seq: 3, Function: "<", Reducer: "r", Priority: 2, RunAt: 7, Accepted: 8}
	j.jobs[3].SetTried(2, 3)
	const want = `{"seq":2,"function_base64":"/w==","priority":"high","payload":""}
{"seq":3,"function":"<","reducer":"r","priority":"low","run_at_ms":7,"accepted_ms":8,"attempts":5,"failures":2,"payload":""}
` + jobA + `{"extra":"k","value":"PHY+"}
{"end":true,"jobs":3,"extras":1}
`
	var got strings.Builder
	if err := dump.Write(t.Context(), &got, j); err != nil || got.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, got.String(), want)
	}
}

// TestWriteErrors checks that a dump that fails has no end line.
func TestWriteErrors(t *testing.T) {
	broken := errors.New("broken")
	j := journalA()
	j.err = broken
	var got strings.Builder
	if err := dump.Write(t.Context(), &got, j); !errors.Is(err, broken) || strings.Contains(got.String(), "end") {
		t.Errorf("of a broken store: got %v and %q, want %v and no end", err, got.String(), broken)
	}
	r, w := io.Pipe()
	r.CloseWithError(broken)
	if err := dump.Write(t.Context(), w, journalA()); !errors.Is(err, broken) {
		t.Errorf("to a broken pipe: got %v, want %v", err, broken)
	}
}

func TestLoad(t *testing.T) {
	for _, tc := range []struct {
		name     string
		before   *journal
		merge    bool
		lines    string
		want     dump.Counts
		jobs     []uint64
		extras   []string
		complete bool
		err      string
	}{
		{
			name: "whole", lines: jobA + `{"extra":"k","value":""}` + "\n" + `{"end":true,"jobs":1,"extras":1}`,
			want: dump.Counts{Jobs: 1, Extras: 1}, jobs: []uint64{5}, extras: []string{"k"}, complete: true,
		},
		{name: "no end", lines: jobA, want: dump.Counts{Jobs: 1}, jobs: []uint64{5}},
		{name: "nothing"},
		{name: "empty lines", lines: "\n \n" + jobA + "\n", want: dump.Counts{Jobs: 1}, jobs: []uint64{5}},
		{
			name: "two dumps", lines: strings.Repeat(jobA+`{"end":true,"jobs":1,"extras":0}`+"\n", 2),
			want: dump.Counts{Jobs: 1, There: 1}, jobs: []uint64{5}, complete: true,
		},
		{
			name: "lines after the end", lines: `{"end":true,"jobs":0,"extras":0}` + "\n" + jobA,
			want: dump.Counts{Jobs: 1}, jobs: []uint64{5},
		},
		{
			name: "wrong end", lines: jobA + `{"end":true,"jobs":2,"extras":0}`,
			want: dump.Counts{Jobs: 1}, jobs: []uint64{5}, err: "line 2: the end does not count the 1 jobs and 0 extras",
		},
		{name: "end without counts", lines: `{"end":true}`, err: "line 1: the end does not count"},
		{name: "no JSON", lines: jobA + "{", want: dump.Counts{Jobs: 1}, jobs: []uint64{5}, err: "line 2: unexpected end"},
		{name: "unknown field", lines: `{"seq":1,"function":"f","payload":"","new":1}`, want: dump.Counts{Jobs: 1}, jobs: []uint64{1}},

		{name: "the same job", before: journalA(), merge: true, lines: jobA, want: dump.Counts{There: 1}, jobs: []uint64{5}},
		{
			name: "the same unique", before: journalA(), merge: true, lines: `{"seq":6,"function":"f","unique":"a","payload":""}`,
			want: dump.Counts{Joined: 1}, jobs: []uint64{5},
		},
		{
			name: "the unique of another function", before: journalA(), merge: true, lines: `{"seq":6,"function":"g","unique":"a","payload":""}`,
			want: dump.Counts{Jobs: 1}, jobs: []uint64{5, 6},
		},
		{
			name: "the unique that coalesces nothing", merge: true, lines: strings.Repeat(`{"function":"g","unique":"-","payload":""}`+"\n", 2),
			want: dump.Counts{Jobs: 2}, jobs: []uint64{first + 1, first + 2},
		},
		{
			name: "the number of another", before: journalA(), merge: true, lines: `{"seq":5,"function":"f","payload":""}`,
			want: dump.Counts{Jobs: 1}, jobs: []uint64{5, 6},
		},
		{
			name: "no number", before: journalA(), merge: true, lines: strings.Repeat(`{"function":"f","payload":""}`+"\n", 2),
			want: dump.Counts{Jobs: 2}, jobs: []uint64{5, first + 1, first + 2},
		},
		{
			name: "the same extra", before: &journal{jobs: map[uint64]*store.Record{}, extras: map[string][]byte{"k": []byte("old")}, caps: store.Caps{Lists: true}},
			merge: true, lines: `{"extra":"k","value":""}`, extras: []string{"k"},
		},
		{
			name: "a higher number", merge: true,
			before: &journal{jobs: map[uint64]*store.Record{}, extras: map[string][]byte{store.NumberKey: []byte("7")}, caps: store.Caps{Lists: true}},
			lines:  `{"extra":"number","value":"OA=="}`, want: dump.Counts{Extras: 1}, extras: []string{store.NumberKey},
		},
		{
			name: "a lower number", merge: true,
			before: &journal{jobs: map[uint64]*store.Record{}, extras: map[string][]byte{store.NumberKey: []byte("9")}, caps: store.Caps{Lists: true}},
			lines:  `{"extra":"number","value":"OA=="}`, extras: []string{store.NumberKey},
		},
		{
			name: "no number left", lines: `{"seq":18446744073709551615,"function":"f","payload":""}` + "\n" + `{"function":"g","payload":""}`,
			want: dump.Counts{Jobs: 1}, jobs: []uint64{math.MaxUint64}, err: "line 2: no higher number is free: the limit is 18446744073709551615",
		},
		{
			name: "no number left for one that is taken", merge: true, before: newJournal(&store.Record{Seq: math.MaxUint64, Function: "f"}),
			lines: `{"seq":18446744073709551615,"function":"g","payload":""}`, jobs: []uint64{math.MaxUint64}, err: "line 1: no higher number is free",
		},
		{
			name: "over a limit", before: &journal{jobs: map[uint64]*store.Record{}, caps: store.Caps{Lists: true, MaxPayload: 2}},
			lines: jobA + `{"function":"f","payload":"MTIz"}`,
			want:  dump.Counts{Jobs: 1}, jobs: []uint64{5}, err: "line 2: payload of 3 bytes exceeds the store's limit of 2",
		},
		{
			name: "a name over a limit", before: &journal{jobs: map[uint64]*store.Record{}, caps: store.Caps{Lists: true, MaxName: 2}},
			lines: jobA + `{"function":"f","unique":"abc","payload":""}`,
			want:  dump.Counts{Jobs: 1}, jobs: []uint64{5}, err: "line 2: unique of 3 bytes exceeds the store's limit of 2",
		},
		{
			name: "an extra over a limit", before: &journal{jobs: map[uint64]*store.Record{}, extras: map[string][]byte{}, caps: store.Caps{Lists: true, MaxValue: 2}},
			lines: jobA + `{"extra":"k","value":"MTIz"}`,
			want:  dump.Counts{Jobs: 1}, jobs: []uint64{5}, err: "line 2: value of 3 bytes exceeds the store's limit of 2",
		},
		{
			name: "a store that lists nothing", before: &journal{jobs: map[uint64]*store.Record{5: nil}},
			lines: `{"seq":6,"function":"f","payload":""}`, want: dump.Counts{Jobs: 1}, jobs: []uint64{5, 6},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // for the clock: numbers begin with it
				j := tc.before
				if j == nil {
					j = newJournal()
				}
				l, err := dump.NewLoader(t.Context(), j, tc.merge)
				if err != nil {
					t.Fatal(err)
				}
				err = l.Load(t.Context(), strings.NewReader(tc.lines))
				if (err != nil) != (tc.err != "") || err != nil && !strings.HasPrefix(err.Error(), tc.err) {
					t.Errorf("got error %v, want %q", err, tc.err)
				}
				if got := l.Counts(); got != tc.want {
					t.Errorf("got counts %+v, want %+v", got, tc.want)
				}
				if got := l.Complete(); got != tc.complete {
					t.Errorf("complete: got %v, want %v", got, tc.complete)
				}
				if got := slices.Sorted(maps.Keys(j.jobs)); !slices.Equal(got, tc.jobs) {
					t.Errorf("got jobs %d, want %d", got, tc.jobs)
				}
				if got := slices.Sorted(maps.Keys(j.extras)); !slices.Equal(got, tc.extras) {
					t.Errorf("got extras %q, want %q", got, tc.extras)
				}
			})
		})
	}
}

// first is the first number at the time at which synctest's clocks begin.
var first = store.FirstSeq(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))

func TestNewLoaderErrors(t *testing.T) {
	extra := newJournal()
	extra.extras["k"] = nil
	for name, s := range map[string]store.Store{"a job": journalA(), "an extra": extra} {
		if _, err := dump.NewLoader(t.Context(), s, false); !errors.Is(err, dump.ErrNotEmpty) {
			t.Errorf("%s: got %v, want %v", name, err, dump.ErrNotEmpty)
		}
	}
	broken := newJournal()
	broken.err = errors.New("broken")
	for _, merge := range []bool{false, true} {
		if _, err := dump.NewLoader(t.Context(), broken, merge); !errors.Is(err, broken.err) {
			t.Errorf("merge %v: got %v, want %v", merge, err, broken.err)
		}
	}
}

// TestLoadBatches checks that batches are bounded in operations and in bytes, and
// that an error of the store ends the load.
func TestLoadBatches(t *testing.T) {
	const job = `{"function":"f","payload":""}` + "\n"
	small := strings.Repeat(job, 4001)
	large := `{"function":"f","payload":"` + strings.Repeat("A", 6<<20) + `"}` + "\n" // 4.5 MiB
	for _, tc := range []struct {
		lines string
		want  []int
	}{{small, []int{2000, 2000, 1}}, {large + large + job, []int{2, 1}}} {
		j := newJournal()
		l, err := dump.NewLoader(t.Context(), j, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Load(t.Context(), strings.NewReader(tc.lines)); err != nil || !slices.Equal(j.batches, tc.want) {
			t.Errorf("got batches of %d, %v, want %d", j.batches, err, tc.want)
		}
	}
	j := newJournal()
	l, err := dump.NewLoader(t.Context(), j, false)
	if err != nil {
		t.Fatal(err)
	}
	j.err = errors.New("broken")
	if err := l.Load(t.Context(), strings.NewReader(small)); !errors.Is(err, j.err) || len(j.batches) != 1 {
		t.Errorf("into a broken store: got %v after %d batches, want %v after 1", err, len(j.batches), j.err)
	}
}

// TestLoadStops checks that the end of the context ends a load.
func TestLoadStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := dump.NewLoader(ctx, newJournal(), false)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := l.Load(ctx, strings.NewReader(jobA+jobA)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	broken := errors.New("broken")
	r, w := io.Pipe()
	w.CloseWithError(broken)
	if err := l.Load(t.Context(), r); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "read dump: ") {
		t.Errorf("from a broken pipe: got %v, want read dump: %v", err, broken)
	}
}

// TestRoundTrip loads the dump of random jobs, and dumps that store in turn.
func TestRoundTrip(t *testing.T) {
	from, to := openDisk(t), openDisk(t)
	var batch []store.Op
	for i := range 100 {
		r := &store.Record{
			Seq: uint64(i + 1), Function: fmt.Sprint("f", i%3), Unique: strings.Repeat("u", i), Payload: bytes.Repeat([]byte{byte(i)}, i*i),
			Priority: uint8(i % 3), RunAt: int64(i), Accepted: int64(i * i),
		}
		r.SetTried(i, i/2)
		batch = append(batch, store.Op{Kind: store.Add, Record: r})
	}
	batch = append(batch, store.Op{Kind: store.Put, Key: "dead/1", Value: []byte("\x00\xff")})
	if err := from.Commit(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	if err := dump.Write(t.Context(), &first, from); err != nil {
		t.Fatal(err)
	}
	l, err := dump.NewLoader(t.Context(), to, false)
	if err == nil {
		err = l.Load(t.Context(), bytes.NewReader(first.Bytes()))
	}
	if err == nil {
		err = dump.Write(t.Context(), &second, to)
	}
	if want := (dump.Counts{Jobs: 100, Extras: 1}); err != nil || l.Counts() != want || !l.Complete() {
		t.Fatalf("got %v, %+v, complete %v, want %+v", err, l.Counts(), l.Complete(), want)
	}
	if first.String() != second.String() {
		t.Errorf("got\n%.2000s\nwant\n%.2000s", second.String(), first.String())
	}
}

// FuzzLoad loads any lines, and loads the dump of that store into another one: its
// dump must be the same.
func FuzzLoad(f *testing.F) {
	f.Add(jobA + `{"extra":"k","value":""}` + "\n" + `{"end":true,"jobs":1,"extras":1}`)
	f.Add(strings.Repeat(`{"function":"f","unique":"-","payload":"QQ=="}`+"\n", 2) + jobA + jobA)
	f.Add(`{"seq":18446744073709551615,"function":"f","payload":""}` + "\n" + `{"function":"g","payload":""}`)
	f.Add(`{"function":"f","payload":"","attempts":9999999,"failures":-5,"run_at_ms":-1,"priority":"low"}`)
	f.Add(`{"extra":"number","value":"OA=="}` + "\n" + `{"extra":"number","value":"Nw=="}`)
	f.Fuzz(func(t *testing.T, lines string) {
		var dumps [2]strings.Builder
		for i := range dumps {
			j := newJournal()
			l, err := dump.NewLoader(t.Context(), j, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Load(t.Context(), strings.NewReader(lines)); err != nil && i > 0 {
				t.Fatalf("load of a dump: %v", err)
			}
			for _, r := range j.jobs {
				if r.Attempts < 0 || r.Function == "" || r.Seq == 0 {
					t.Errorf("the store got %+v", r)
				}
			}
			if err := dump.Write(t.Context(), &dumps[i], j); err != nil {
				t.Fatal(err)
			}
			lines = dumps[i].String()
		}
		if dumps[0].String() != dumps[1].String() {
			t.Errorf("got\n%s\nfrom\n%s", dumps[1].String(), dumps[0].String())
		}
	})
}

func openDisk(t *testing.T) store.Store {
	t.Helper()
	s, err := disk.Open(t.Context(), disk.Config{Dir: t.TempDir(), Sync: store.SyncNever})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}
