// Worker on github.com/mikespook/gearman-go: worker HOST PORT.
//
// Prints "ready", then one line a job, until it is killed. Facts about the
// library that a server has to live with:
//   - it grabs with GRAB_JOB_UNIQ, and grabs the next job when it has started
//     one, not when it has finished it: with a limit of n the connection holds
//     up to n jobs at once, without a limit all there are;
//   - it takes the first bytes of each read for a header, so that a packet cut
//     short behind another one in the same read makes it wait for ever;
//   - an error together with data is sent as WORK_EXCEPTION, an error without
//     data as WORK_FAIL, nothing follows either.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/mikespook/gearman-go/worker"
)

var errFailed = errors.New("failed as asked")

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: worker HOST PORT")
		os.Exit(2)
	}
	w := worker.New(worker.OneByOne)
	w.ErrorHandler = func(err error) {
		if errors.Is(err, errFailed) {
			return
		}
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	if err := w.AddServer("tcp", net.JoinHostPort(os.Args[1], os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, "add server:", err)
		os.Exit(1)
	}
	for name, f := range functions {
		w.AddFunc(name, func(job worker.Job) ([]byte, error) {
			fmt.Printf("job\t%s\t%s\n", name, escape(job.Data()))
			return f(job)
		}, worker.Unlimited)
	}
	if err := w.Ready(); err != nil {
		fmt.Fprintln(os.Stderr, "ready:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	w.Work()
}

var functions = map[string]worker.JobFunc{
	"reverse": func(job worker.Job) ([]byte, error) {
		data := bytes.Clone(job.Data())
		slices.Reverse(data)
		return data, nil
	},
	"upper":       func(job worker.Job) ([]byte, error) { return bytes.ToUpper(job.Data()), nil },
	"echo_unique": func(job worker.Job) ([]byte, error) { return []byte(job.UniqueId()), nil },
	"chunks": func(job worker.Job) ([]byte, error) {
		for chunk := range bytes.SplitSeq(job.Data(), []byte(" ")) {
			job.SendData(chunk)
		}
		return []byte("done"), nil
	},
	"status": func(job worker.Job) ([]byte, error) {
		for n := range 3 {
			job.UpdateStatus(n+1, 3)
		}
		return []byte("done"), nil
	},
	// Reports 1/3 and then waits for a writer on the FIFO that the payload names.
	"gate": func(job worker.Job) ([]byte, error) {
		job.UpdateStatus(1, 3)
		if _, err := os.ReadFile(string(job.Data())); err != nil {
			return nil, err
		}
		return []byte("done"), nil
	},
	"warn": func(job worker.Job) ([]byte, error) {
		job.SendWarning(job.Data())
		return []byte("done"), nil
	},
	"exception": func(job worker.Job) ([]byte, error) { return job.Data(), errFailed },
	"fail":      func(worker.Job) ([]byte, error) { return nil, errFailed },
}

func escape(data []byte) string {
	var b strings.Builder
	for _, c := range data {
		if c >= 0x20 && c <= 0x7e && c != '\\' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
