package server_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// A server in this program, a client that submits a background job to it, and a
// graceful shutdown.
func Example() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Config{Host: "example"})
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(listener)

	client, err := gearman.NewClient(gearman.Options{
		Servers: []gearman.Server{{Network: "tcp", Addr: listener.Addr().String()}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	handle, err := client.Background(context.Background(), &gearman.Task{Function: "resize", Payload: []byte("cat.png")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.HasPrefix(string(handle), "H:example:"))

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: true
}
