package gearman_test

import (
	"context"
	"testing"

	"gm/pkg/gearman"
)

// BenchmarkPipelined is one client with 100 tasks in flight, and a worker of 4
// slots.
func BenchmarkPipelined(b *testing.B) {
	s, stop := startServer()
	defer stop()
	defer startWorker(s, map[string]gearman.Handler{"reverse": reverse})()
	c := newClient(s)
	defer c.Close()
	ctx := context.Background()
	task := &gearman.Task{Function: "reverse", Payload: []byte("hello")}
	window := make(chan *gearman.Running, 100)
	b.ReportAllocs()
	go func() {
		defer close(window)
		for range b.N {
			r, err := c.StartAsync(ctx, task)
			if err != nil {
				b.Error(err)
				return
			}
			window <- r
		}
	}()
	for r := range window {
		if _, err := r.Wait(ctx); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkDo is one task after the other: the time there and back.
func BenchmarkDo(b *testing.B) {
	s, stop := startServer()
	defer stop()
	defer startWorker(s, map[string]gearman.Handler{"reverse": reverse})()
	c := newClient(s)
	defer c.Close()
	task := &gearman.Task{Function: "reverse", Payload: []byte("hello")}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(context.Background(), task); err != nil {
			b.Fatal(err)
		}
	}
}
