package batch_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/server"
)

// startServer starts a job server on a free port.
func startServer(tb testing.TB) (gearman.Server, func()) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(l) })
	stop := sync.OnceFunc(func() {
		srv.Close()
		serving.Wait()
	})
	tb.Cleanup(stop)
	return gearman.Server{Network: "tcp", Addr: l.Addr().String()}, stop
}

// startWorker runs a worker of slots slots for the servers.
func startWorker(tb testing.TB, slots int, functions map[string]gearman.Handler, servers ...gearman.Server) {
	tb.Helper()
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}, Concurrency: slots})
	if err != nil {
		tb.Fatal(err)
	}
	for name, h := range functions {
		if err := w.Handle(name, h); err != nil {
			tb.Fatal(err)
		}
	}
	var running sync.WaitGroup
	running.Go(func() { w.Run(context.Background()) })
	tb.Cleanup(func() {
		w.Stop()
		running.Wait()
	})
}

func newClient(tb testing.TB, o gearman.Options) *gearman.Client {
	tb.Helper()
	c, err := gearman.NewClient(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

func echo(_ context.Context, j *gearman.Job) ([]byte, error) { return j.Payload(), nil }

// around puts its function's name around the payload, in several pieces.
func around(_ context.Context, j *gearman.Job) ([]byte, error) {
	if err := j.SendData([]byte(j.Function() + "(")); err != nil {
		return nil, err
	}
	return append(bytes.Clone(j.Payload()), ')'), nil
}

// Records go through two stages on three servers, of which one ends midway and
// one is never there; lost jobs are sent again, and the order is kept.
func TestServers(t *testing.T) {
	const records = 3000
	a, _ := startServer(t)
	b, stopB := startServer(t)
	nobody, stopNobody := startServer(t)
	stopNobody()
	startWorker(t, 3, map[string]gearman.Handler{"f": around, "g": around}, a, b)
	c := newClient(t, gearman.Options{
		Servers: []gearman.Server{nobody, a, b}, Spread: true, MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond,
	})
	var in batch.Records
	var want strings.Builder
	for i := range records {
		in = append(in, batch.Input{Payload: fmt.Append(nil, i)})
		fmt.Fprintf(&want, "g(f(%d))\n", i)
	}
	servers := map[gearman.Server]int{}
	var out strings.Builder
	var stopping sync.WaitGroup
	stopped := make(chan struct{})
	run := &batch.Batch{
		Client: c, Task: gearman.Task{Function: "f"}, Stages: []gearman.Task{{Function: "g"}},
		Retries: 1, Repeatable: true, Patience: time.Minute,
		Data: func(_ *batch.Record, piece []byte) error {
			out.Write(piece)
			return nil
		},
		Done: func(r *batch.Record) error {
			servers[r.Server]++
			out.WriteByte('\n')
			if r.Seq == records/2 {
				stopping.Go(func() {
					stopB()
					close(stopped)
				})
			}
			return r.Err
		},
	}
	sum, err := run.Run(t.Context(), sourceFunc(func() (batch.Input, error) {
		if len(in) == records/3 {
			<-stopped // the last records are read when b has ended
		}
		return in.Next()
	}))
	stopping.Wait()
	if err != nil || sum != (batch.Summary{Records: records}) {
		t.Fatalf("got %+v, %v, want %d records", sum, err, records)
	}
	if out.String() != want.String() {
		t.Errorf("got %d bytes, want %d: %.100q", out.Len(), want.Len(), out.String())
	}
	// How many b had is a matter of which server is the faster one; but the
	// first records go to each, and those after b's end to a.
	if len(servers) != 2 || servers[a] < records/3 || servers[b] == 0 {
		t.Errorf("got records at %v, want them at two servers", servers)
	}
}

// BenchmarkServer is the cost of a Batch with all that is beyond it, in one
// process: client, server and a worker of four slots.
func BenchmarkServer(b *testing.B) {
	text := strings.Repeat("a record\n", benchRecords)
	s, _ := startServer(b)
	startWorker(b, 4, map[string]gearman.Handler{"echo": echo}, s)
	c := newClient(b, gearman.Options{Servers: []gearman.Server{s}})
	b.ReportAllocs()
	for b.Loop() {
		runLines(b, c, text, &batch.Batch{})
	}
	report(b)
}

type sourceFunc func() (batch.Input, error)

func (f sourceFunc) Next() (batch.Input, error) { return f() }
