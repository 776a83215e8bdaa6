package results_test

import (
	"bytes"
	"testing"

	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/results"
)

// TestRunFirst submits a record to a function that has a worker, and to others
// that do not accept it.
func TestRunFirst(t *testing.T) {
	addr, stop := startUpper()
	defer stop()
	one := gearman.Server{Network: "tcp", Addr: addr}
	absent := gearman.Server{Network: "tcp", Addr: "127.0.0.1:1"}
	run := func(servers ...gearman.Server) (results.Report, string) {
		t.Helper()
		var tries []results.Try
		for _, s := range servers {
			client, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{s}})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			tries = append(tries, results.Try{Client: client, Task: gearman.Task{Function: "upper"}, Server: s})
		}
		var buf bytes.Buffer
		out, err := results.NewOutput(&buf, nil)
		if err != nil {
			t.Fatal(err)
		}
		recorder := results.New(results.Config{Sink: results.NewText(out, results.TextOptions{}), Output: out})
		report, err := recorder.RunFirst(t.Context(), batch.Input{Payload: []byte("hello")}, tries)
		if err != nil {
			t.Fatal(err)
		}
		return report, buf.String()
	}
	if report, got := run(absent, one); got != "HELLO" || report.Err() != nil {
		t.Errorf("one server of two: got %q, %v, want HELLO", got, report.Err())
	}
	report, got := run(absent, absent)
	if got != "" || report.Code != 1 || report.Err() == nil || report.Err().Error() != "none of 2 jobs has completed" {
		t.Errorf("no server: got %q, code %d, %v, want an error for both", got, report.Code, report.Err())
	}
}
