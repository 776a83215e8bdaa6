package batch_test

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
	"gm/pkg/server"
)

// Each line of a text is a job. The results have the order of the lines.
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
	b := &batch.Batch{
		Client: client,
		Task:   gearman.Task{Function: "upper"},
		Data: func(r *batch.Record, piece []byte) error {
			_, err := os.Stdout.Write(piece)
			return err
		},
	}
	lines := strings.NewReader("one\ntwo\nthree\n")
	summary, err := b.Run(context.Background(), batch.NewSplitter(lines, []byte("\n"), true, 0))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(summary.Records, "records,", summary.Failed, "failed")
	// Output:
	// ONE
	// TWO
	// THREE
	// 3 records, 0 failed
}
