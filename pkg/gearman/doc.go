// Package gearman is a library for clients, workers and administrators of
// Gearman job servers. It works with the server of this module (package
// server), with gearmand, and with other servers that speak their protocol.
//
// A client submits a [Task] to a function, which is a name, with a payload of
// any bytes. A job server makes a job of it and gives the job to a worker that
// can do the function. The worker's result goes back to the client, unless the
// task is a background task. The server identifies the job by its [Handle].
//
// This client submits a task and prints its result:
//
//	client, err := gearman.NewClient(gearman.Options{
//		Servers: []gearman.Server{{Network: "tcp", Addr: "localhost:4730"}},
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer client.Close()
//	result, err := client.Do(ctx, &gearman.Task{Function: "reverse", Payload: []byte("hello")})
//	if err != nil {
//		log.Fatal(err)
//	}
//	fmt.Printf("%s\n", result.Data)
//
// This worker does such jobs until ctx is done:
//
//	worker, err := gearman.NewWorker(gearman.WorkerOptions{Concurrency: 4})
//	if err != nil {
//		log.Fatal(err)
//	}
//	err = worker.Handle("reverse", func(ctx context.Context, j *gearman.Job) ([]byte, error) {
//		result := bytes.Clone(j.Payload())
//		slices.Reverse(result)
//		return result, nil
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	if err := worker.Run(ctx); err != nil {
//		log.Fatal(err)
//	}
//
// The types:
//
//   - [Client] submits tasks and asks for their status. [Task] describes a task,
//     [Running] is a task that was submitted, [Result] is its result, and [Set]
//     submits many tasks together.
//   - [Worker] does jobs. A [Handler] is the code of a function, [Job] is its
//     argument. WorkerOptions.Middleware wraps all handlers.
//   - [Admin] asks one server for its queues, connections and jobs, and changes
//     them. [StatusOf] asks several servers.
//   - [Server] is the address of a job server. [Options] are common to Client,
//     Worker and Admin.
//
// # Several servers
//
// Job servers do not know each other. A worker serves all servers of its list.
// A client submits to the first server of its list that answers, or, with
// Options.Spread, to the one that has the fewest of its tasks. A task with a
// unique goes to the server that a hash of its function and unique chooses, so
// that equal tasks of different clients meet and are done once.
//
// # Lost connections
//
// A task fails with [ErrLost] if the connection to its server is lost before
// the task has ended. Its job may have been done, may still be done, or may be
// lost. The client submits it again only if Task.Retries allows it to run twice.
// With Options.Once a background task with a Unique does not run twice.
// A server queues a job again if it loses the job's worker. Workers reconnect
// without limit, clients when they next need the server. Both wait between
// Options.MinBackoff and Options.MaxBackoff after a failure.
//
// # Times
//
// No call blocks without a limit: each takes a context, and a write fails after
// a minute in which the server reads nothing.
package gearman
