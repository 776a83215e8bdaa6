package gearman_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"gm/pkg/gearman"
	"gm/pkg/server"
)

// A worker that reverses bytes, and a client that submits a task and waits for its
// result.
func Example() {
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
	err = worker.Handle("reverse", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		data := bytes.Clone(j.Payload())
		slices.Reverse(data)
		return data, nil
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
	result, err := client.Do(context.Background(), &gearman.Task{Function: "reverse", Payload: []byte("hello")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)
	// Output: olleh
}

// An asynchronous client submits tasks without waiting, and receives the events of
// all of them from one channel.
func ExampleClient_StartAsync() {
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

	worker, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}, Concurrency: 4})
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
	events := make(chan gearman.Event, 16)
	words := []string{"one", "two", "three"}
	for _, word := range words {
		task := &gearman.Task{Function: "upper", Payload: []byte(word), Events: events}
		if _, err := client.StartAsync(context.Background(), task); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("all sent")
	for left := len(words); left > 0; {
		switch e := <-events; e.Kind {
		case gearman.EventComplete:
			fmt.Printf("%s is %s\n", e.Task.Payload, e.Data)
			left--
		case gearman.EventFail:
			fmt.Println(e.Err)
			left--
		}
	}
	// Unordered output:
	// all sent
	// one is ONE
	// two is TWO
	// three is THREE
}

// A client submits a set of tasks and waits for all of them. One task fails twice
// and is submitted again.
func ExampleClient_NewSet() {
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

	var attempts atomic.Int32
	worker, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("reverse", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		data := bytes.Clone(j.Payload())
		slices.Reverse(data)
		return data, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("moody", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		switch attempts.Add(1) {
		case 1:
			return nil, errors.New("not in the mood")
		case 2:
			return nil, &gearman.Exception{Data: []byte("leave me alone")}
		}
		j.SendStatus(1, 2)
		j.SendWarning([]byte("last time"))
		j.SendData([]byte("well, "))
		return []byte("yes"), nil
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
	set := client.NewSet()
	set.Add(&gearman.Task{Function: "reverse", Payload: []byte("stressed")})
	set.Add(&gearman.Task{
		Function:    "moody",
		Retries:     3,
		OnCreated:   func(h gearman.Handle) { fmt.Println("created:", h != "") },
		OnData:      func(data []byte) { fmt.Printf("data: %q\n", data) },
		OnWarning:   func(data []byte) { fmt.Printf("warning: %s\n", data) },
		OnStatus:    func(num, den int64) { fmt.Printf("status: %d of %d\n", num, den) },
		OnException: func(data []byte) { fmt.Printf("exception: %s\n", data) },
		OnRetry:     func(attempt int, err error) { fmt.Println("retry after attempt", attempt) },
		OnComplete:  func(data []byte) { fmt.Printf("complete: %s\n", data) },
		OnFail:      func(err error) { fmt.Println("fail:", err) },
	})
	if err := set.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}
	for i, r := range set.Results() {
		fmt.Printf("task %d: %s, attempts: %d\n", i, r.Data, r.Attempts)
	}
	// Output:
	// created: true
	// retry after attempt 1
	// created: true
	// exception: leave me alone
	// retry after attempt 2
	// created: true
	// status: 1 of 2
	// warning: last time
	// data: "well, "
	// complete: yes
	// task 0: desserts, attempts: 1
	// task 1: yes, attempts: 3
}

// Scatter and gather: each line of a text is a job, and the results are added. The
// package batch does this for many records.
func Example_scatterGather() {
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

	worker, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}, Concurrency: 4})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("count", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		return fmt.Append(nil, len(bytes.Fields(j.Payload()))), nil
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
	text := "the quick brown fox\njumps over\nthe lazy dog\n"
	set := client.NewSet()
	for line := range strings.Lines(text) {
		set.Add(&gearman.Task{Function: "count", Payload: []byte(line)})
	}
	if err := set.Wait(context.Background()); err != nil {
		log.Fatal(err)
	}
	total := 0
	for i, r := range set.Results() {
		var n int
		fmt.Sscan(string(r.Data), &n)
		fmt.Printf("line %d: %d\n", i+1, n)
		total += n
	}
	fmt.Println("words:", total)
	// Output:
	// line 1: 4
	// line 2: 2
	// line 3: 3
	// words: 9
}

// A pipeline: the result of one function is the payload of the next. All words are
// in progress at the same time.
func Example_pipeline() {
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

	worker, err := gearman.NewWorker(gearman.WorkerOptions{Options: gearman.Options{Servers: servers}, Concurrency: 4})
	if err != nil {
		log.Fatal(err)
	}
	err = worker.Handle("reverse", func(_ context.Context, j *gearman.Job) ([]byte, error) {
		data := bytes.Clone(j.Payload())
		slices.Reverse(data)
		return data, nil
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
	pipe := func(data []byte, functions ...string) ([]byte, error) {
		for _, function := range functions {
			result, err := client.Do(context.Background(), &gearman.Task{Function: function, Payload: data})
			if err != nil {
				return nil, err
			}
			data = result.Data
		}
		return data, nil
	}
	var results []chan string
	for _, word := range []string{"drawer", "live", "stop"} {
		out := make(chan string, 1)
		results = append(results, out)
		go func() {
			data, err := pipe([]byte(word), "reverse", "upper")
			out <- fmt.Sprintf("%s: %s, %v", word, data, err)
		}()
	}
	for _, out := range results {
		fmt.Println(<-out)
	}
	// Output:
	// drawer: REWARD, <nil>
	// live: EVIL, <nil>
	// stop: POTS, <nil>
}

func ExampleParseServers() {
	servers, err := gearman.ParseServers("queue1,queue2:4731,[::1],unix:/run/gearman.sock", gearman.DefaultPort)
	fmt.Println(servers, err)
	_, err = gearman.ParseServers("queue1,queue2:http", gearman.DefaultPort)
	fmt.Println(err)
	// Output:
	// [queue1:4730 queue2:4731 [::1]:4730 unix:/run/gearman.sock] <nil>
	// server "queue2:http": port "http" is not a number from 1 to 65535
}
