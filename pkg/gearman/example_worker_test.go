package gearman_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// A worker reconnects after the loss of its server, and does further jobs.
func ExampleWorker_Run() {
	start := func(addr string) (*server.Server, net.Listener) {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			log.Fatal(err)
		}
		srv, err := server.New(server.Config{})
		if err != nil {
			log.Fatal(err)
		}
		go srv.Serve(listener)
		return srv, listener
	}
	srv, listener := start("127.0.0.1:0")
	servers := []gearman.Server{{Network: "tcp", Addr: listener.Addr().String()}}

	news := make(chan string, 1)
	worker, err := gearman.NewWorker(gearman.WorkerOptions{
		Options: gearman.Options{Servers: servers, MaxBackoff: time.Second},
		OnLost:  func(gearman.Server, error) { news <- "lost" },
		OnBack:  func(gearman.Server) { news <- "back" },
	})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("upper", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		return bytes.ToUpper(j.Payload()), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- worker.Run(ctx) }()

	submit := func(word string) {
		client, err := gearman.NewClient(gearman.Options{Servers: servers})
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		result, err := client.Do(ctx, &gearman.Task{Function: "upper", Payload: []byte(word)})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", result.Data)
	}
	submit("before")
	srv.Close()
	fmt.Println(<-news)
	srv, _ = start(servers[0].Addr)
	defer srv.Close()
	fmt.Println(<-news)
	submit("after")

	cancel() // a running job would still be finished
	fmt.Println("stopped:", <-stopped)
	// Output:
	// BEFORE
	// lost
	// back
	// AFTER
	// stopped: <nil>
}

// A handler returns the result of a job, which may have any bytes.
func ExampleWorker_Handle() {
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

	worker, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("hex", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		return fmt.Appendf(nil, "%s: % x", j.Function(), j.Payload()), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	go worker.Run(context.Background())
	defer worker.Stop()

	client, err := gearman.NewClient(gearman.Options{Servers: servers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	result, err := client.Do(context.Background(), &gearman.Task{Function: "hex", Payload: []byte("a\x00b")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)
	// Output: hex: 61 00 62
}

// A middleware that logs each job, around the handlers of all functions.
func ExampleWorkerOptions() {
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

	logged := func(next gearman.Handler) gearman.Handler {
		return func(ctx context.Context, j *gearman.Job) ([]byte, error) {
			data, err := next(ctx, j)
			fmt.Printf("%s: %d bytes, %v\n", j.Function(), len(data), err)
			return data, err
		}
	}
	worker, err := gearman.NewWorker(gearman.WorkerOptions{
		Options:    gearman.Options{Servers: servers},
		Middleware: []func(gearman.Handler) gearman.Handler{logged},
	})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("upper", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		return bytes.ToUpper(j.Payload()), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	go worker.Run(context.Background())
	defer worker.Stop()

	client, err := gearman.NewClient(gearman.Options{Servers: servers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	result, err := client.Do(context.Background(), &gearman.Task{Function: "upper", Payload: []byte("hello")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)
	// Output:
	// upper: 5 bytes, <nil>
	// HELLO
}

// An Exception and a panic reach the client with their text. Any other error only
// fails the job.
func ExampleException() {
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

	worker, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("raise", func(context.Context, *gearman.Job) ([]byte, error) {
		return nil, &gearman.Exception{Data: []byte("no such account")}
	})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("panic", func(context.Context, *gearman.Job) ([]byte, error) {
		panic("division by cucumber")
	})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("fail", func(context.Context, *gearman.Job) ([]byte, error) {
		return nil, errors.New("for the worker's log only")
	})
	if err != nil {
		log.Fatal(err)
	}
	go worker.Run(context.Background())
	defer worker.Stop()

	client, err := gearman.NewClient(gearman.Options{Servers: servers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, function := range []string{"raise", "panic", "fail"} {
		_, err := client.Do(context.Background(), &gearman.Task{Function: function})
		var exception *gearman.ExceptionError
		var fail *gearman.FailError
		switch {
		case errors.As(err, &exception):
			fmt.Printf("%s: exception: %s\n", function, exception.Data)
		case errors.As(err, &fail):
			fmt.Printf("%s: failed\n", function)
		}
	}
	// Output:
	// raise: exception: no such account
	// panic: exception: division by cucumber
	// fail: failed
}

// A handler sends its result in parts, and reports progress.
func ExampleJob_SendData() {
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

	worker, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("countdown", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		for i := range 3 {
			if err := j.SendData(fmt.Appendf(nil, "%d...", 3-i)); err != nil {
				return nil, err
			}
			if err := j.SendStatus(int64(i+1), 3); err != nil {
				return nil, err
			}
		}
		return []byte("go"), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	go worker.Run(context.Background())
	defer worker.Stop()

	client, err := gearman.NewClient(gearman.Options{Servers: servers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	result, err := client.Do(context.Background(), &gearman.Task{
		Function: "countdown",
		OnData:   func(chunk []byte) { fmt.Printf("%s\n", chunk) },
		OnStatus: func(num, den int64) { fmt.Printf("%d/%d\n", num, den) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)

	// Without OnData, the result has all parts.
	result, err = client.Do(context.Background(), &gearman.Task{Function: "countdown"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)
	// Output:
	// 3...
	// 1/3
	// 2...
	// 2/3
	// 1...
	// 3/3
	// go
	// 3...2...1...go
}

// Timeouts on both sides: the worker ends a job that takes too long, and the client
// gives up a task whose job takes too long.
func ExampleWithTimeout() {
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

	worker, err := gearman.NewWorker(gearman.WorkerOptions{
		Options:     gearman.Options{Servers: servers},
		Concurrency: 2,
	})
	if err != nil {
		log.Fatal(err)
	}
	wait := func(ctx context.Context, j *gearman.Job) ([]byte, error) {
		<-ctx.Done()
		fmt.Printf("worker of %s: %v\n", j.Function(), context.Cause(ctx))
		return nil, ctx.Err()
	}
	if err := errors.Join(
		worker.Handle("impatient", wait, gearman.WithTimeout(50*time.Millisecond)),
		worker.Handle("patient", wait),
	); err != nil {
		log.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- worker.Run(context.Background()) }()

	client, err := gearman.NewClient(gearman.Options{Servers: servers})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	_, err = client.Do(ctx, &gearman.Task{Function: "impatient", Timeout: time.Minute})
	var fail *gearman.FailError
	fmt.Println("client of impatient: failed:", errors.As(err, &fail))
	_, err = client.Do(ctx, &gearman.Task{Function: "patient", Timeout: 500 * time.Millisecond})
	fmt.Println("client of patient: time is up:", errors.Is(err, gearman.ErrTimeout))

	worker.Abort() // does not wait for the patient job
	fmt.Println("stopped:", <-stopped)
	// Output:
	// worker of impatient: time is up
	// client of impatient: failed: true
	// client of patient: time is up: true
	// worker of patient: context canceled
	// stopped: <nil>
}
