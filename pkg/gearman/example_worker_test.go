package gearman_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"gm/pkg/gearman"
)

// A worker outlives its server: it connects again and does what comes then.
func ExampleWorker_Run() {
	server, stopServer := startServer()
	told := make(chan string, 1)
	w, err := gearman.NewWorker(gearman.WorkerOptions{
		Options: gearman.Options{Servers: []gearman.Server{server}, MaxBackoff: time.Second},
		ID:      "example",
		OnLost:  func(gearman.Server, error) { told <- "lost" },
		OnBack:  func(gearman.Server) { told <- "back" },
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Handle("reverse", reverse); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- w.Run(ctx) }()

	submit := func(word string) {
		client := newClient(server)
		defer client.Close()
		result, err := client.Do(ctx, &gearman.Task{Function: "reverse", Payload: []byte(word)})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", result.Data)
	}
	submit("before")
	stopServer()
	fmt.Println(<-told)
	_, stopServer = startServerAt(server.Addr)
	defer stopServer()
	fmt.Println(<-told)
	submit("after")

	cancel() // graceful: a job that runs is finished
	fmt.Println("stopped:", <-stopped)
	// Output:
	// erofeb
	// lost
	// back
	// retfa
	// stopped: <nil>
}

// What a handler returns is the job's result; bytes of any kind.
func ExampleWorker_Handle() {
	server, stop := startServer()
	defer stop()
	w, err := gearman.NewWorker(gearman.WorkerOptions{
		Options: gearman.Options{Servers: []gearman.Server{server}},
		MaxJobs: 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	err = w.Handle("hex", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		return fmt.Appendf(nil, "%s: % x", j.Function(), j.Payload()), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- w.Run(context.Background()) }()

	client := newClient(server)
	defer client.Close()
	result, err := client.Do(context.Background(), &gearman.Task{Function: "hex", Payload: []byte("a\x00b")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)
	fmt.Println(<-stopped)
	// Output:
	// hex: 61 00 62
	// <nil>
}

// A worker that raises: an Exception and a panic reach the client with their
// text, any other error is only a failure.
func ExampleException() {
	server, stop := startServer()
	defer stop()
	defer startWorker(server, map[string]gearman.Handler{
		"raise": func(context.Context, *gearman.Job) ([]byte, error) {
			return nil, &gearman.Exception{Data: []byte("no such account")}
		},
		"panic": func(context.Context, *gearman.Job) ([]byte, error) {
			panic("division by cucumber")
		},
		"fail": func(context.Context, *gearman.Job) ([]byte, error) {
			return nil, errors.New("for the worker's log only")
		},
	})()
	client := newClient(server)
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

// A result in chunks, with progress.
func ExampleJob_SendData() {
	server, stop := startServer()
	defer stop()
	defer startWorker(server, map[string]gearman.Handler{
		"countdown": func(_ context.Context, j *gearman.Job) ([]byte, error) {
			for i := range 3 {
				if err := j.SendData(fmt.Appendf(nil, "%d...", 3-i)); err != nil {
					return nil, err
				}
				if err := j.SendStatus(int64(i+1), 3); err != nil {
					return nil, err
				}
			}
			return []byte("go"), nil
		},
	})()
	client := newClient(server)
	defer client.Close()

	ctx := context.Background()
	result, err := client.Do(ctx, &gearman.Task{
		Function: "countdown",
		OnData:   func(chunk []byte) { fmt.Printf("%s\n", chunk) },
		OnStatus: func(num, den int64) { fmt.Printf("%d/%d\n", num, den) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)

	// Without OnData the chunks are collected.
	result, err = client.Do(ctx, &gearman.Task{Function: "countdown"})
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

// A timeout on both sides: the worker ends a job that takes too long, and a
// client does not wait for ever where a worker does.
func ExampleWithTimeout() {
	server, stop := startServer()
	defer stop()
	w, err := gearman.NewWorker(gearman.WorkerOptions{
		Options:     gearman.Options{Servers: []gearman.Server{server}},
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
		w.Handle("impatient", wait, gearman.WithTimeout(50*time.Millisecond)),
		w.Handle("patient", wait),
	); err != nil {
		log.Fatal(err)
	}
	stopped := make(chan error)
	go func() { stopped <- w.Run(context.Background()) }()

	client := newClient(server)
	defer client.Close()
	ctx := context.Background()
	_, err = client.Do(ctx, &gearman.Task{Function: "impatient", Timeout: time.Minute})
	var fail *gearman.FailError
	fmt.Println("client of impatient: failed:", errors.As(err, &fail))
	_, err = client.Do(ctx, &gearman.Task{Function: "patient", Timeout: 500 * time.Millisecond})
	fmt.Println("client of patient: time is up:", errors.Is(err, gearman.ErrTimeout))

	w.Abort() // does not wait for the patient
	fmt.Println("stopped:", <-stopped)
	// Output:
	// worker of impatient: time is up
	// client of impatient: failed: true
	// client of patient: time is up: true
	// worker of patient: context canceled
	// stopped: <nil>
}
