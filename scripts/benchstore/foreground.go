package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"gm/pkg/wire"
)

// foregroundEvery is the time between two foreground jobs.
const foregroundEvery = 4 * time.Millisecond

// foregroundLoad has another process, so that the load's scheduler is not in
// its way, submit foreground jobs and do them, one at a time, for d. It returns
// what each has taken from the submission to the result.
func foregroundLoad(addr string, d time.Duration) (took []time.Duration, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-seconds", fmt.Sprint(d.Seconds()), "-foreground", addr)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return nil, errors.Join(err, cmd.Wait())
		}
		took = append(took, time.Duration(n))
	}
	return took, cmd.Wait()
}

// foregroundMain is that process: it prints nanoseconds, a line a job.
func foregroundMain(addr string, d time.Duration) error {
	worker, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer worker.Close()
	client, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer client.Close()
	go work(worker) //nolint:errcheck // the client sees it
	took, err := submitForeground(client, time.Now().Add(d))
	for _, t := range took {
		fmt.Println(t.Nanoseconds())
	}
	return err
}

// work sleeps, is woken, grabs and does, until the connection is closed.
func work(c io.ReadWriter) error {
	grab := wire.AppendString(nil, wire.Request, wire.GrabJob)
	sleep := wire.AppendString(nil, wire.Request, wire.PreSleep)
	in := wire.NewReader(c, wire.Limits{})
	var p wire.Packet
	out := append(wire.AppendString(nil, wire.Request, wire.CanDo, "foreground"), sleep...)
	for {
		if _, err := c.Write(out); err != nil {
			return err
		}
		if err := in.Next(&p); err != nil {
			return err
		}
		switch p.Type {
		case wire.Noop:
			out = append(out[:0], grab...)
		case wire.JobAssign:
			out = wire.Append(out[:0], wire.Request, wire.WorkComplete, p.Args[0], []byte("done"))
			out = append(out, sleep...)
		case wire.NoJob:
			out = append(out[:0], sleep...)
		default:
			return fmt.Errorf("unexpected %v", &p)
		}
	}
}

// submitForeground submits a job every foregroundEvery until the end, or when
// the one before is done.
func submitForeground(c io.ReadWriter, end time.Time) (took []time.Duration, err error) {
	submit := wire.AppendString(nil, wire.Request, wire.SubmitJob, "foreground", "", "x")
	in := wire.NewReader(c, wire.Limits{})
	var p wire.Packet
	tick := time.NewTicker(foregroundEvery)
	defer tick.Stop()
	for now := range tick.C {
		if now.After(end) {
			break
		}
		began := time.Now()
		if _, err := c.Write(submit); err != nil {
			return took, err
		}
		for p.Type = 0; p.Type != wire.WorkComplete; {
			if err := in.Next(&p); err != nil {
				return took, err
			}
			if p.Type != wire.JobCreated && p.Type != wire.WorkComplete {
				return took, fmt.Errorf("foreground job: unexpected %v", &p)
			}
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}
