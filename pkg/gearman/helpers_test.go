package gearman_test

import (
	"bytes"
	"context"
	"log"
	"net"
	"slices"
	"sync"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// startServer starts a job server on a free port of this machine.
func startServer() (s gearman.Server, stop func()) {
	return startServerAt("127.0.0.1:0")
}

func startServerAt(addr string) (s gearman.Server, stop func()) {
	return startServerWith(addr, server.Config{})
}

func startServerWith(addr string, cfg server.Config) (s gearman.Server, stop func()) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(l) })
	return gearman.Server{Network: "tcp", Addr: l.Addr().String()}, func() {
		srv.Close()
		serving.Wait()
	}
}

// startWorker runs a worker with these functions, several jobs at a time.
func startWorker(s gearman.Server, functions map[string]gearman.Handler) (stop func()) {
	w, err := gearman.NewWorker(gearman.WorkerOptions{
		Options:     gearman.Options{Servers: []gearman.Server{s}},
		Concurrency: 4,
	})
	if err != nil {
		log.Fatal(err)
	}
	for name, h := range functions {
		if err := w.Handle(name, h); err != nil {
			log.Fatal(err)
		}
	}
	var running sync.WaitGroup
	running.Go(func() { w.Run(context.Background()) })
	return func() {
		w.Stop()
		running.Wait()
	}
}

// newClient returns a client of s.
func newClient(s gearman.Server) *gearman.Client {
	c, err := gearman.NewClient(gearman.Options{Servers: []gearman.Server{s}})
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// reverse reverses the bytes of a job.
func reverse(_ context.Context, j *gearman.Job) ([]byte, error) {
	b := bytes.Clone(j.Payload())
	slices.Reverse(b)
	return b, nil
}
