package cmd

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"gm/pkg/gearman"
)

func ptr[T any](v T) *T { return &v }

// statusAnswers are two of gm serve and one of gearmand.
func statusAnswers() []answer[[]*statusRow] {
	server := func(addr string) gearman.Server { return gearman.Server{Network: "tcp", Addr: addr} }
	return []answer[[]*statusRow]{
		{server: server("a:1"), value: []*statusRow{
			{Function: "f", Waiting: 2, Running: 1, Workers: 3, Delayed: ptr(4), OldestMS: ptr(int64(10)), Submitted: ptr(uint64(100))},
			{Function: "g", Waiting: 1},
		}},
		{server: server("b:1"), value: []*statusRow{
			{Function: "f", Waiting: 5, Workers: 1, Delayed: ptr(1), OldestMS: ptr(int64(70)), Submitted: ptr(uint64(50)), paused: true},
		}},
		{server: server("c:1"), value: []*statusRow{{Function: "f", Waiting: 7}}},
	}
}

func TestMergeStatus(t *testing.T) {
	tests := []struct {
		name      string
		byServer  bool
		functions []string
		want      []string
	}{
		{"summed", false, nil, []string{
			`["f","14","1","4","5","70","paused",""]`,
			`["g","1","0","0","","","no-workers",""]`,
		}},
		{"side by side", true, []string{"f"}, []string{
			`["a:1","f","2","1","3","4","10","ok",""]`,
			`["b:1","f","5","0","1","1","70","paused",""]`,
			`["c:1","f","7","0","0","","","no-workers",""]`,
		}},
		{"none", false, []string{"x"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows := mergeStatus(statusAnswers(), test.byServer, test.functions)
			if len(rows) != len(test.want) {
				t.Fatalf("%d rows, want %d", len(rows), len(test.want))
			}
			for i, r := range rows {
				if got, _ := json.Marshal(r.Cells(false)); string(got) != test.want[i] {
					t.Errorf("got  %s\nwant %s", got, test.want[i])
				}
			}
		})
	}
}

// TestRates sees to it that a server that is away for a look makes no burst.
func TestRates(t *testing.T) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	w := &statusWatch{}
	look := func(second int, submittedA, submittedB uint64) string {
		answers := statusAnswers()
		*answers[0].value[0].Submitted = submittedA
		*answers[1].value[0].Submitted = submittedB
		if submittedB == 0 {
			answers = answers[:1]
		}
		w.setRates(start.Add(time.Duration(second)*time.Second), answers)
		return newStatusTick(start, mergeStatus(answers, false, nil), nil).rates.Cells(true)[0]
	}
	steps := []struct {
		second int
		a, b   uint64
		want   string
	}{
		{0, 100, 1_000_000, "-"},
		{2, 110, 1_000_030, "20.0"},
		{4, 110, 0, "0.0"},          // b is away
		{6, 120, 1_000_050, "5.0"},  // and back: its rate is not known yet
		{8, 130, 1_000_090, "25.0"}, // now it is
		{10, 5, 1_000_090, "0.0"},   // a has started anew
	}
	for i, s := range steps {
		if got := look(s.second, s.a, s.b); got != s.want {
			t.Errorf("step %d: rate %s, want %s", i, got, s.want)
		}
	}
}

// A server that reads its store, or whose store fails, is marked: in each row
// that it counts in, and in a line of the table, also if it knows no function.
func TestStatusOfAServerThatReadsItsStore(t *testing.T) {
	server := func(addr string) gearman.Server { return gearman.Server{Network: "tcp", Addr: addr} }
	a, b, c := server("a:1"), server("b:1"), server("c:1")
	answers := []answer[[]*statusRow]{
		{server: a, value: []*statusRow{{Function: "f", Waiting: 1}, {Function: "g", Waiting: 1}}},
		{server: b, value: []*statusRow{{Function: "f", Waiting: 2, Loading: true}, {Loading: true, storeError: "page 7 is gone"}}},
		{server: c, value: []*statusRow{{Loading: true}}},
	}
	lines := storeLines(answers)
	want := []string{
		"server b:1 reads its store: its counts are not complete",
		"server b:1: its store fails: page 7 is gone",
		"server c:1 reads its store: its counts are not complete",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	rows := mergeStatus(answers, false, nil)
	if len(rows) != 2 || rows[0].State != stateLoading || !rows[0].Loading || rows[0].Waiting != 3 || rows[1].State != stateNoWorkers || rows[1].Loading {
		t.Errorf("got %+v and %+v", rows[0], rows[1])
	}
}
