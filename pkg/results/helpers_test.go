package results_test

import (
	"bytes"
	"context"
	"log"
	"net"
	"sync"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// startUpper starts a server, and a worker of the function upper.
func startUpper() (addr string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		log.Fatal(err)
	}
	addr = l.Addr().String()
	w, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{
		Servers: []gearman.Server{{Network: "tcp", Addr: addr}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	err = w.Handle("upper", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		return bytes.ToUpper(j.Payload()), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { srv.Serve(l) })
	running.Go(func() { w.Run(context.Background()) })
	return addr, func() {
		w.Stop()
		srv.Close()
		running.Wait()
	}
}
