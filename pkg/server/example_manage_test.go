package server_test

import (
	"context"
	"fmt"
	"net"

	"gm/pkg/server"
	"gm/pkg/wire"
)

// A program runs a server and administers it without a connection.
func Example_administration() {
	ctx := context.Background()
	s, err := server.New(server.Config{})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	client, accepted := net.Pipe()
	defer client.Close()
	go s.ServeConn(accepted)

	if err := s.Pause(ctx, "resize"); err != nil {
		fmt.Println(err)
	}
	if err := s.Create(ctx, "resize"); err != nil {
		panic(err)
	}
	if err := s.Pause(ctx, "resize"); err != nil {
		panic(err)
	}
	conn := wire.NewReader(client, wire.Limits{})
	client.Write(wire.AppendString(nil, wire.Request, wire.SubmitJobBG, "resize", "", "photo.jpg"))
	if err := conn.Next(new(wire.Packet)); err != nil {
		panic(err)
	}

	_, functions, err := s.Stats(ctx)
	if err != nil {
		panic(err)
	}
	for _, f := range functions {
		fmt.Printf("%s: %d waiting, paused %v\n", f.Function, f.Waiting(), f.Paused)
	}
	jobs, _, err := s.Jobs(ctx, server.JobFilter{Function: "resize"}, "", 10)
	if err != nil {
		panic(err)
	}
	for _, j := range jobs {
		if err := s.Cancel(ctx, j.Handle); err != nil {
			panic(err)
		}
		fmt.Printf("cancelled a job of %d bytes\n", j.Size)
	}
	// Output:
	// pause function resize: function not found: "resize"
	// resize: 1 waiting, paused true
	// cancelled a job of 9 bytes
}
