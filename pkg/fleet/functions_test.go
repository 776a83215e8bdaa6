package fleet

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"gm/pkg/gearman"
)

func ptr[T any](v T) *T { return &v }

func serverAt(addr string) gearman.Server { return gearman.Server{Network: "tcp", Addr: addr} }

// statusAnswers returns answers of two gm servers and of one other server.
func statusAnswers() []Answer[ServerFunctions] {
	return []Answer[ServerFunctions]{
		{Server: serverAt("a:1"), Value: ServerFunctions{Functions: []*Function{
			{Function: "f", Waiting: 2, Running: 1, Workers: 3, Delayed: ptr(4), OldestMS: ptr(int64(10)), Submitted: ptr(uint64(100))},
			{Function: "g", Waiting: 1},
		}}},
		{Server: serverAt("b:1"), Value: ServerFunctions{Functions: []*Function{
			{Function: "f", Waiting: 5, Workers: 1, Delayed: ptr(1), OldestMS: ptr(int64(70)), Submitted: ptr(uint64(50)), paused: true},
		}}},
		{Server: serverAt("c:1"), Value: ServerFunctions{Functions: []*Function{{Function: "f", Waiting: 7}}}},
	}
}

// rowText returns the main fields of a row.
func rowText(f *Function) string {
	number := func(n any) string {
		text, _ := json.Marshal(n)
		return string(text)
	}
	return fmt.Sprintf("%s %s %d %d %d %s %s %s %s", f.Server, f.Function, f.Waiting, f.Running, f.Workers,
		number(f.Delayed), number(f.OldestMS), f.State, number(f.Dead))
}

func TestMergeFunctions(t *testing.T) {
	tests := []struct {
		name     string
		byServer bool
		patterns []string
		want     []string
	}{
		{"summed", false, nil, []string{
			" f 14 1 4 5 70 paused null",
			" g 1 0 0 null null no-workers null",
		}},
		{"by server", true, []string{"f"}, []string{
			"a:1 f 2 1 3 4 10 ok null",
			"b:1 f 5 0 1 1 70 paused null",
			"c:1 f 7 0 0 null null no-workers null",
		}},
		{"a pattern", false, []string{"[g-h]"}, []string{" g 1 0 0 null null no-workers null"}},
		{"none", false, []string{"x"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows := MergeFunctions(statusAnswers(), test.byServer, test.patterns)
			if len(rows) != len(test.want) {
				t.Fatalf("%d rows, want %d", len(rows), len(test.want))
			}
			for i, row := range rows {
				if got := rowText(row); got != test.want[i] {
					t.Errorf("got  %s\nwant %s", got, test.want[i])
				}
			}
		})
	}
}

// TestRates checks that a server that misses a reading makes no burst.
func TestRates(t *testing.T) {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	meter := &RateMeter{}
	read := func(second int, submittedA, submittedB uint64) string {
		answers := statusAnswers()
		*answers[0].Value.Functions[0].Submitted = submittedA
		*answers[1].Value.Functions[0].Submitted = submittedB
		if submittedB == 0 {
			answers = answers[:1]
		}
		meter.SetRates(start.Add(time.Duration(second)*time.Second), answers)
		in := SumFunctions(MergeFunctions(answers, false, nil)).In
		if in == nil {
			return "-"
		}
		return fmt.Sprintf("%.1f", *in)
	}
	steps := []struct {
		second int
		a, b   uint64
		want   string
	}{
		{0, 100, 1_000_000, "-"},
		{2, 110, 1_000_030, "20.0"},
		{4, 110, 0, "0.0"},          // b does not answer
		{6, 120, 1_000_050, "5.0"},  // b answers again: its rate is not known yet
		{8, 130, 1_000_090, "25.0"}, // now it is known
		{10, 5, 1_000_090, "0.0"},   // a has restarted
	}
	for i, s := range steps {
		if got := read(s.second, s.a, s.b); got != s.want {
			t.Errorf("step %d: rate %s, want %s", i, got, s.want)
		}
	}
}

// A sum must not change the rows of a server, which the next reading of a RateMeter
// compares.
func TestSumLeavesNumbersOfTheServers(t *testing.T) {
	answers := statusAnswers()
	a, b := answers[0].Value.Functions[0].Submitted, answers[1].Value.Functions[0].Submitted
	rows := MergeFunctions(answers, false, nil)
	if *rows[0].Submitted != 150 || *a != 100 || *b != 50 {
		t.Errorf("sum %d of %d and %d, want 150 of 100 and 50", *rows[0].Submitted, *a, *b)
	}
}

// A function is marked as loading if one of its servers still reads its store.
func TestMergeMarksLoadingFunctions(t *testing.T) {
	answers := []Answer[ServerFunctions]{
		{Server: serverAt("a:1"), Value: ServerFunctions{Functions: []*Function{{Function: "f", Waiting: 1}, {Function: "g", Waiting: 1}}}},
		{Server: serverAt("b:1"), Value: ServerFunctions{Functions: []*Function{{Function: "f", Waiting: 2, Loading: true}}, Loading: true}},
		{Server: serverAt("c:1"), Value: ServerFunctions{Loading: true}},
	}
	rows := MergeFunctions(answers, false, nil)
	if len(rows) != 2 || rows[0].State != FunctionLoading || !rows[0].Loading || rows[0].Waiting != 3 || rows[1].State != FunctionNoWorkers || rows[1].Loading {
		t.Errorf("got %+v and %+v", rows[0], rows[1])
	}
}

func TestCountConnections(t *testing.T) {
	rows := []*Connection{
		{Functions: []string{"f"}, State: ptr(ConnectionWorking)},
		{Functions: []string{"f"}, State: ptr(ConnectionSleeping)},
		{Functions: []string{"f", "g"}, State: ptr(ConnectionSleeping)},
		{Functions: []string{"f"}, State: ptr(ConnectionIdle)},
		{State: ptr(ConnectionClient)},
		{Functions: []string{"f"}},
	}
	n := CountConnections(rows)
	if n.Connections != 6 || n.Workers != 5 || *n.Working != 1 || *n.Sleeping != 2 {
		t.Errorf("got %d connections, %d workers, %d working, %d sleeping", n.Connections, n.Workers, *n.Working, *n.Sleeping)
	}
	if n := CountConnections(rows[5:]); n.Working != nil || n.Sleeping != nil {
		t.Errorf("without states: got %v working, %v sleeping, want nil", n.Working, n.Sleeping)
	}
}
