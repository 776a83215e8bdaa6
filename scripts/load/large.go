//go:build linux

package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"gm/pkg/wire"
)

// LargeJobs submits a foreground job with a payload of size bytes, one after
// the other, to a worker that reads all of it and then sends as much back.
func LargeJobs(addr string, size, jobs int) (Result, error) {
	worker, err := net.Dial("tcp", addr)
	if err != nil {
		return Result{}, err
	}
	defer worker.Close()
	client, err := net.Dial("tcp", addr)
	if err != nil {
		return Result{}, err
	}
	defer client.Close()
	greeting := wire.AppendString(nil, wire.Request, wire.CanDo, ForegroundFunction)
	if _, err := worker.Write(append(greeting, grabJob...)); err != nil {
		return Result{}, err
	}
	submit := wire.AppendString(nil, wire.Request, wire.SubmitJob, ForegroundFunction, "", payload(size))
	done := make(chan error, 1)
	go func() { done <- echoJobs(worker, size, jobs) }()
	r, err := pingPong(jobs, func() error {
		if _, err := client.Write(submit); err != nil {
			return err
		}
		return await(client, wire.WorkComplete)
	})
	if err != nil {
		worker.Close()
	}
	return r, errors.Join(err, <-done)
}

// echoJobs is the worker.
func echoJobs(c net.Conn, size, jobs int) error {
	back := []byte(payload(size))
	for range jobs {
		assign, err := awaitJob(c)
		if err != nil {
			return err
		}
		end := appendComplete(nil, assign, "")
		head := wire.AppendHeader(nil, wire.Request, wire.WorkComplete, len(end)-wire.HeaderSize+size)
		head = append(head, end[wire.HeaderSize:]...)
		packets := net.Buffers{head, back, grabJob}
		if _, err := packets.WriteTo(c); err != nil {
			return err
		}
	}
	return nil
}

// awaitJob reads a job whole and returns its packet up to the handle's end and
// a little more.
func awaitJob(c net.Conn) ([]byte, error) {
	var head [wire.HeaderSize]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return nil, err
		}
		t, size := header(head[:])
		switch wire.Type(t) {
		case wire.JobAssign:
			begin := make([]byte, 128)
			if _, err := io.ReadFull(c, begin); err != nil {
				return nil, err
			}
			return append(head[:], begin...), discard(c, size-len(head)-len(begin))
		case wire.NoJob:
			if _, err := c.Write(preSleep); err != nil {
				return nil, err
			}
		case wire.Noop:
			if _, err := c.Write(grabJob); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("unexpected packet %v", wire.Type(t))
		}
	}
}

// await reads packets until one is of the type.
func await(c net.Conn, want wire.Type) error {
	var head [wire.HeaderSize]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return err
		}
		t, size := header(head[:])
		if err := discard(c, size-len(head)); err != nil {
			return err
		}
		if wire.Type(t) == want {
			return nil
		}
		if wire.Type(t) != wire.JobCreated {
			return fmt.Errorf("unexpected packet %v", wire.Type(t))
		}
	}
}

// discard reads n bytes.
func discard(c net.Conn, n int) error {
	buf := make([]byte, min(n, readSize))
	for n > 0 {
		got, err := c.Read(buf[:min(n, len(buf))])
		if err != nil {
			return err
		}
		n -= got
	}
	return nil
}

func pingPong(n int, once func() error) (Result, error) {
	began := time.Now()
	for range n {
		if err := once(); err != nil {
			return Result{}, err
		}
	}
	return Result{Jobs: n, Took: time.Since(began)}, nil
}

// Ends are the two of a relay, which connects to both: the submitter and the
// worker of LargeJobs, without the packets.
type Ends struct{ near, far net.Listener }

// ListenEnds listens for the relay.
func ListenEnds() (*Ends, error) {
	near, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		near.Close()
		return nil, err
	}
	return &Ends{near, far}, nil
}

// Addrs are the addresses to which the relay connects.
func (e *Ends) Addrs() (near, far string) { return e.near.Addr().String(), e.far.Addr().String() }

// Close ends the listening.
func (e *Ends) Close() {
	_ = e.near.Close()
	_ = e.far.Close()
}

// Echo sends size bytes to the far end, which reads all of them and then sends
// as much back, n times.
func (e *Ends) Echo(size, n int) (Result, error) {
	near, err := e.near.Accept()
	if err != nil {
		return Result{}, err
	}
	defer near.Close()
	far, err := e.far.Accept()
	if err != nil {
		return Result{}, err
	}
	defer far.Close()
	data := []byte(payload(size))
	done := make(chan error, 1)
	go func() {
		_, err := pingPong(n, func() error {
			if err := discard(far, size); err != nil {
				return err
			}
			_, err := far.Write(data)
			return err
		})
		done <- err
	}()
	r, err := pingPong(n, func() error {
		if _, err := near.Write(data); err != nil {
			return err
		}
		return discard(near, size)
	})
	if err != nil {
		far.Close()
	}
	return r, errors.Join(err, <-done)
}
