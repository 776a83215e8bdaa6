package work_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"gm/pkg/gearman"
	"gm/pkg/server"
	"gm/pkg/work"
)

// A worker out of tr. The job server is in the same process here; usually it is
// another one, such as gm serve.
func Example() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	options := gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: l.Addr().String()}}}

	w, err := work.New(work.Config{
		Options:   options,
		Functions: []string{"upper"},
		Command:   []string{"tr", "a-z", "A-Z"},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()

	client, err := gearman.NewClient(options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	result, err := client.Do(ctx, &gearman.Task{Function: "upper", Payload: []byte("hello")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)

	stop() // running jobs end first
	fmt.Println("ended:", <-ended)
	// Output:
	// HELLO
	// ended: <nil>
}

// A pipeline of two functions. The first worker serves all jobs with one child, a
// line for each, and submits each result to the second function. The second worker
// has no program: the payloads go to its Output.
func ExampleChain() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	srv, err := server.New(server.Config{})
	if err != nil {
		log.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	options := gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: l.Addr().String()}}}

	first, err := work.New(work.Config{
		Options:   options,
		Functions: []string{"label"},
		Command:   []string{"sed", "-u", "s/^/done: /"},
		Keep:      work.Keep{Protocol: work.KeepLine},
		Chain:     work.Chain{Next: "print"},
		MaxJobs:   1,
	})
	if err != nil {
		log.Fatal(err)
	}
	second, err := work.New(work.Config{
		Options:   options,
		Functions: []string{"print"},
		Output:    os.Stdout,
		MaxJobs:   1,
	})
	if err != nil {
		log.Fatal(err)
	}

	client, err := gearman.NewClient(options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	if _, err := client.Background(ctx, &gearman.Task{Function: "label", Payload: []byte("3")}); err != nil {
		log.Fatal(err)
	}
	for _, w := range []*work.Worker{first, second} {
		if err := w.Run(ctx); err != nil { // returns after MaxJobs
			log.Fatal(err)
		}
	}
	// Output:
	// done: 3
}
