package results_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"

	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/results"
	"gm/pkg/server"
)

// Example sends the lines of a text through a worker, with a joblog. Its second
// run leaves out the records of the first one.
func Example() {
	// A job server and a worker in this program, for the example.
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
	options := gearman.Options{Servers: []gearman.Server{{Network: "tcp", Addr: listener.Addr().String()}}}
	worker, err := gearman.NewWorker(gearman.WorkerOptions{Options: options})
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

	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	client, err := gearman.NewClient(options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	run := func(text string) {
		file, err := os.OpenFile(filepath.Join(dir, "out"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err != nil {
			log.Fatal(err)
		}
		defer file.Close()
		out, err := results.NewOutput(file, file)
		if err != nil {
			log.Fatal(err)
		}
		sink := results.NewText(out, results.TextOptions{End: "\n"})
		joblog, err := results.OpenJoblog(results.JoblogConfig{
			Path: filepath.Join(dir, "log"), Resume: true, Sink: sink, Output: out,
		})
		if err != nil {
			log.Fatal(err)
		}
		defer joblog.Close()
		recorder := results.New(results.Config{Sink: sink, Output: out, Joblog: joblog, Many: true})
		report, err := recorder.Run(context.Background(), &batch.Batch{
			Client: client,
			Task:   gearman.Task{Function: "upper"},
		}, batch.NewSplitter(strings.NewReader(text), []byte("\n"), false, 1<<20))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d records, %d failed, %d skipped\n", report.Records, report.Failed, report.Skipped)
	}
	run("one\ntwo\n")
	run("one\ntwo\nthree\n")
	text, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", text)
	// Output:
	// 2 records, 0 failed, 0 skipped
	// 1 records, 0 failed, 2 skipped
	// ONE
	// TWO
	// THREE
}
