package records_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"gm/pkg/gearman"
	"gm/pkg/records"
	"gm/pkg/server"
)

// A payload that cannot be read is no job: First returns its error.
func TestFirstRefusesARecordThatIsTooLarge(t *testing.T) {
	r := newTestRun(records.Whole(strings.NewReader("hello"), "stdin", 4))
	run, err := records.Open(r.config)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	absent := gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: "127.0.0.1:1"}}}
	if _, err := run.First(t.Context(), absent, []gearman.Task{{Function: "upper"}}); !errors.Is(err, gearman.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// First sends the record to each function on each server; the others have no worker.
func TestFirstPrintsTheResultOfTheOneWorker(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer srv.Close()
	running.Go(func() { srv.Serve(l) }) //nolint:errcheck // Close ends it
	options := gearman.Options{Servers: []gearman.Server{
		{Network: "tcp", Addr: "127.0.0.1:1"}, {Network: "tcp", Addr: l.Addr().String()},
	}}
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: options.Servers[1:]}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Handle("two", echo); err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	running.Go(func() { w.Run(t.Context()) }) //nolint:errcheck // Stop ends it

	r := newTestRun(records.Arguments([]string{"hello"}))
	run, err := records.Open(r.config)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	report, err := run.First(t.Context(), options, []gearman.Task{{Function: "one"}, {Function: "two"}})
	if err != nil || report.Code != 0 || r.stdout.String() != "hello" {
		t.Errorf("got %q, code %d, %v, want hello", r.stdout.String(), report.Code, err)
	}
}

func echo(_ context.Context, j *gearman.Job) ([]byte, error) { return j.Payload(), nil }
