package gearman_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// An administrator lists the functions and the jobs of a server, and cancels a job.
func ExampleNewAdmin() {
	// A job server in this program, for the example. Another one is "gm serve".
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(listener)
	defer srv.Close()
	servers := []gearman.Server{{Network: "tcp", Addr: listener.Addr().String()}}

	client, err := gearman.NewClient(gearman.Options{Servers: servers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	for _, file := range []string{"cat.png", "dog.png"} {
		task := &gearman.Task{Function: "resize", Payload: []byte(file), Priority: gearman.Low}
		if _, err := client.Background(ctx, task); err != nil {
			log.Fatal(err)
		}
	}

	admin := gearman.NewAdmin(servers[0], gearman.Options{})
	defer admin.Close()
	jobs, err := admin.Jobs(ctx, "resize", gearman.StateWaiting, 0)
	if err != nil {
		log.Fatal(err)
	}
	for _, j := range jobs {
		fmt.Printf("%s, %s, %d bytes\n", j.Function, j.Priority, j.Size)
	}
	if err := admin.CancelJob(ctx, jobs[0].Handle); err != nil {
		log.Fatal(err)
	}
	functions, err := admin.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range functions {
		fmt.Printf("%s has %d jobs and %d workers\n", f.Function, f.Total, f.Workers)
	}
	// Output:
	// resize, low, 7 bytes
	// resize, low, 7 bytes
	// resize has 1 jobs and 0 workers
}

// The functions of several servers, by server. One server is down.
func ExampleStatusOf() {
	// A job server in this program, for the example. Another one is "gm serve".
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(listener)
	defer srv.Close()
	servers := []gearman.Server{{Network: "tcp", Addr: listener.Addr().String()}}

	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	down.Close()
	servers = append(servers, gearman.Server{Network: "tcp", Addr: down.Addr().String()})

	client, err := gearman.NewClient(gearman.Options{Servers: servers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	if _, err := client.Background(ctx, &gearman.Task{Function: "resize"}); err != nil {
		log.Fatal(err)
	}

	status, err := gearman.StatusOf(ctx, servers, gearman.Options{})
	var failed gearman.ServerErrors
	errors.As(err, &failed)
	for i, s := range servers {
		for _, f := range status[s] {
			fmt.Printf("server %d: %s has %d jobs, %d of them running, and %d workers\n",
				i+1, f.Function, f.Total, f.Running, f.Workers)
		}
		if failed[s] != nil {
			fmt.Printf("server %d is down: %v\n", i+1, errors.Is(failed[s], gearman.ErrNoServer))
		}
	}
	// Output:
	// server 1: resize has 1 jobs, 0 of them running, and 0 workers
	// server 2 is down: true
}
