package records_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strings"

	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/records"
	"gm/pkg/server"
)

// Example sends the lines of a text through a worker, and prints the results in the
// order of the lines, each after its line.
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

	client, err := gearman.NewClient(options)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	run, err := records.Open(records.Config{
		Input: records.Stream(strings.NewReader("one\ntwo\n"), records.Cut{}, 1<<20),
		Batch: &batch.Batch{
			Client: client,
			Task:   gearman.Task{Function: "upper"},
		},
		Stdout:     os.Stdout,
		End:        "\n",
		LinePrefix: func(label string) string { return label + ": " },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer run.Close()
	report, err := run.Run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Records, "records,", report.Failed, "failed")

	// Output:
	// one: ONE
	// two: TWO
	// 2 records, 0 failed
}
