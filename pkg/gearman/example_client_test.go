package gearman_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"sync/atomic"

	"gm/pkg/gearman"
)

// reverse turns a job's bytes around.
func reverse(_ context.Context, j *gearman.Job) ([]byte, error) {
	b := bytes.Clone(j.Payload())
	slices.Reverse(b)
	return b, nil
}

func upper(_ context.Context, j *gearman.Job) ([]byte, error) {
	return bytes.ToUpper(j.Payload()), nil
}

func Example() {
	server, stop := startServer()
	defer stop()
	defer startWorker(server, map[string]gearman.Handler{"reverse": reverse})()

	client := newClient(server)
	defer client.Close()
	result, err := client.Do(context.Background(), &gearman.Task{Function: "reverse", Payload: []byte("hello")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", result.Data)
	// Output: olleh
}

// An asynchronous client sends its tasks without waiting, does something else,
// and takes the events of all of them from one channel.
func ExampleClient_StartAsync() {
	server, stop := startServer()
	defer stop()
	defer startWorker(server, map[string]gearman.Handler{"upper": upper})()
	client := newClient(server)
	defer client.Close()

	ctx := context.Background()
	events := make(chan gearman.Event, 16)
	words := []string{"one", "two", "three"}
	for _, word := range words {
		task := &gearman.Task{Function: "upper", Payload: []byte(word), Events: events}
		if _, err := client.StartAsync(ctx, task); err != nil {
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

// A synchronous client waits for a set of tasks. One of them fails at first
// and is done again.
func ExampleClient_NewSet() {
	server, stop := startServer()
	defer stop()
	var tries atomic.Int32
	defer startWorker(server, map[string]gearman.Handler{
		"reverse": reverse,
		"moody": func(_ context.Context, j *gearman.Job) ([]byte, error) {
			switch tries.Add(1) {
			case 1:
				return nil, errors.New("not in the mood")
			case 2:
				return nil, &gearman.Exception{Data: []byte("leave me alone")}
			}
			j.SendStatus(1, 2)
			j.SendWarning([]byte("last time"))
			j.SendData([]byte("well, "))
			return []byte("yes"), nil
		},
	})()
	client := newClient(server)
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

// Scatter and gather: a text is cut into pieces, each is a job, and the results
// are put together in order.
func Example_scatterGather() {
	server, stop := startServer()
	defer stop()
	defer startWorker(server, map[string]gearman.Handler{
		"count": func(_ context.Context, j *gearman.Job) ([]byte, error) {
			return fmt.Append(nil, len(bytes.Fields(j.Payload()))), nil
		},
	})()
	client := newClient(server)
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

// A pipeline: what one function returns is what the next is given. All items
// are on their way at once.
func Example_pipeline() {
	server, stop := startServer()
	defer stop()
	defer startWorker(server, map[string]gearman.Handler{"reverse": reverse, "upper": upper})()
	client := newClient(server)
	defer client.Close()

	ctx := context.Background()
	pipe := func(data []byte, functions ...string) ([]byte, error) {
		for _, function := range functions {
			result, err := client.Do(ctx, &gearman.Task{Function: function, Payload: data})
			if err != nil {
				return nil, err
			}
			data = result.Data
		}
		return data, nil
	}
	results := make([]chan string, 0)
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

// The state of the queues of several servers, as a map.
func ExampleStatusOf() {
	first, stopFirst := startServer()
	defer stopFirst()
	second, stopSecond := startServer()
	defer stopSecond()
	down, stopDown := startServer()
	stopDown()

	ctx := context.Background()
	for i, server := range []gearman.Server{first, second} {
		client := newClient(server)
		for range i + 1 {
			if _, err := client.Background(ctx, &gearman.Task{Function: "resize"}); err != nil {
				log.Fatal(err)
			}
		}
		client.Close()
	}

	servers := []gearman.Server{first, second, down}
	status, err := gearman.StatusOf(ctx, servers, gearman.Options{})
	var failed gearman.ServerErrors
	errors.As(err, &failed)
	for i, server := range servers {
		for _, f := range status[server] {
			fmt.Printf("server %d: %s has %d jobs, %d of them running, and %d workers\n",
				i+1, f.Function, f.Total, f.Running, f.Workers)
		}
		if failed[server] != nil {
			fmt.Printf("server %d is down: %v\n", i+1, errors.Is(failed[server], gearman.ErrNoServer))
		}
	}
	// Output:
	// server 1: resize has 1 jobs, 0 of them running, and 0 workers
	// server 2: resize has 2 jobs, 0 of them running, and 0 workers
	// server 3 is down: true
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
