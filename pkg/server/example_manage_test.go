package server_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// A program runs a server and administers it without a connection.
func Example_administration() {
	ctx := context.Background()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Config{
		Policies: map[string]server.Policy{"resize": {Retries: 3, MinWait: time.Second, MaxWait: time.Minute}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	go srv.Serve(listener)

	if err := srv.Pause(ctx, "encode"); errors.Is(err, server.ErrNoFunction) {
		fmt.Println(err)
	}
	if err := srv.Pause(ctx, "resize"); err != nil {
		log.Fatal(err)
	}
	client, err := gearman.NewClient(gearman.Options{
		Servers: []gearman.Server{{Network: "tcp", Addr: listener.Addr().String()}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Background(ctx, &gearman.Task{Function: "resize", Payload: []byte("photo.jpg")}); err != nil {
		log.Fatal(err)
	}

	_, functions, err := srv.Stats(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range functions {
		fmt.Printf("%s: %d waiting, paused %v, retries %s\n", f.Function, f.Waiting(), f.Paused, f.Policy)
	}
	jobs, _, err := srv.Jobs(ctx, server.JobFilter{Function: "resize"}, "", 10)
	if err != nil {
		log.Fatal(err)
	}
	for _, j := range jobs {
		if err := srv.Cancel(ctx, j.Handle); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("cancelled a job of %d bytes\n", j.Size)
	}
	// Output:
	// pause function encode: function not found: "encode"
	// resize: 1 waiting, paused true, retries 3,1s..1m
	// cancelled a job of 9 bytes
}
