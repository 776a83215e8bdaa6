package cmd

import (
	"slices"
	"testing"

	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

func ptr[T any](v T) *T { return &v }

func TestStatusCells(t *testing.T) {
	known := statusRow{&fleet.Function{
		Function: "f", Waiting: 14, Running: 1, Workers: 4, Delayed: ptr(5), OldestMS: ptr(int64(70)), State: fleet.FunctionPaused,
	}}
	for _, test := range []struct {
		row   statusRow
		human bool
		want  []string
	}{
		{known, false, []string{"f", "14", "1", "4", "5", "70", "paused", ""}},
		{known, true, []string{"f", "14", "1", "4", "5", "70ms", "paused", "-"}},
		{statusRow{&fleet.Function{Server: "a:1", Function: "g", State: fleet.FunctionOK}}, false, []string{"a:1", "g", "0", "0", "0", "", "", "ok", ""}},
		{
			statusRow{&fleet.Function{Function: "g", State: fleet.FunctionOK, Rates: &fleet.Rates{In: ptr(2.25)}}},
			true,
			[]string{"g", "0", "0", "0", "-", "-", "ok", "-", "2.2", "-", "-"},
		},
	} {
		if got := test.row.Cells(test.human); !slices.Equal(got, test.want) {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// A server that reads its store, or whose store fails, is named in a line of the table,
// also if it knows no function.
func TestStatusOfAServerThatReadsItsStore(t *testing.T) {
	server := func(addr string) gearman.Server { return gearman.Server{Network: "tcp", Addr: addr} }
	lines := storeLines([]fleet.Answer[fleet.ServerFunctions]{
		{Server: server("a:1"), Value: fleet.ServerFunctions{Functions: []*fleet.Function{{Function: "f", Waiting: 1}}}},
		{Server: server("b:1"), Value: fleet.ServerFunctions{Loading: true, StoreError: "page 7 is gone"}},
		{Server: server("c:1"), Value: fleet.ServerFunctions{Loading: true}},
	})
	want := []string{
		"server b:1 reads its store: its counts are not complete",
		"server b:1: its store fails: page 7 is gone",
		"server c:1 reads its store: its counts are not complete",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}
