package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// bigWorker connects a worker with many functions that holds many jobs. It returns the
// names, in the order of the rows, and the handles.
func bigWorker(t *testing.T, addr string, n int) (w *peer, functions, jobs []string) {
	t.Helper()
	w = dial(t, addr)
	var b []byte
	for i := range n {
		functions = append(functions, fmt.Sprintf("b%d", i))
		b = wire.AppendString(b, wire.Request, wire.CanDo, functions[i])
	}
	slices.Reverse(functions)
	w.send(b)
	w.sync()
	submitMany(t, dial(t, addr), "b0", n)
	for range n {
		jobs = append(jobs, w.grab())
	}
	return w, functions, jobs
}

// The row of a worker with many functions and jobs is made in pages: no page takes more
// steps than another command's.
func TestRowOfBigWorkerComesInPages(t *testing.T) {
	const n = 2 * server.PageSteps
	s, addr := start(t, server.Config{})
	_, functions, jobs := bigWorker(t, addr, n)
	other, p := dial(t, addr), dial(t, addr)
	var pages atomic.Int32
	s.OnPage(func() {
		pages.Add(1)
		other.sync() // the server serves others between two pages
	})
	want := func(what string, steps int, gotFunctions, gotJobs []string) {
		t.Helper()
		if !slices.Equal(gotFunctions, functions) || gotJobs != nil && !slices.Equal(gotJobs, jobs) {
			t.Errorf("%s: %d functions and %d jobs, or another order", what, len(gotFunctions), len(gotJobs))
		}
		if got := int(pages.Swap(0)); got < steps/server.PageSteps {
			t.Errorf("%s: %d pages for %d steps", what, got, steps)
		}
	}
	for _, line := range p.list("workers") {
		if row, err := wire.ParseWorkerInfo([]byte(line)); err == nil && len(row.Functions) > 0 {
			want("workers", n, row.Functions, nil)
		}
	}
	for _, line := range p.list("sessions") {
		var row wire.Session
		if err := json.Unmarshal([]byte(line), &row); err == nil && len(row.Functions) > 0 {
			want("sessions", 2*n, row.Functions, row.Jobs)
		}
	}
	workers, err := s.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range workers {
		if len(row.Functions) > 0 {
			want("Workers", n, row.Functions, nil)
		}
	}
	sessions, err := s.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range sessions {
		if len(row.Functions) > 0 {
			want("Sessions", 2*n, row.Functions, row.Jobs)
		}
	}
	if len(workers) != len(sessions) || len(workers) != 4 {
		t.Errorf("%d workers and %d sessions, want 4", len(workers), len(sessions))
	}
}

// A worker may leave, or drop its functions and jobs, while its row is made.
func TestBigWorkerLeavesWhileItsRowIsMade(t *testing.T) {
	for name, change := range map[string]func(w *peer, jobs []string){
		"leaves": func(w *peer, _ []string) { w.Close() },
		"drops all": func(w *peer, jobs []string) {
			w.send(req(wire.ResetAbilities))
			for _, handle := range jobs {
				w.send(req(wire.WorkComplete, handle, ""))
			}
			w.sync()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, addr := start(t, server.Config{})
			w, _, jobs := bigWorker(t, addr, 3*server.PageSteps)
			p := dial(t, addr)
			last := worker(t, addr, "last")
			changed := false
			s.OnPage(func() {
				if !changed {
					changed = true
					change(w, jobs)
				}
			})
			rows := p.list("workers")
			if !changed {
				t.Fatal("one page was enough")
			}
			if i := slices.IndexFunc(rows, func(row string) bool { return strings.HasSuffix(row, " last") }); i < 0 {
				t.Errorf("the row behind it is missing: %d rows", len(rows))
			}
			last.sync()
			p.sync()
		})
	}
}
