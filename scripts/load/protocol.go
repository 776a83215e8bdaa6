//go:build linux

package load

import (
	"bytes"
	"fmt"

	"gm/pkg/wire"
)

// Job describes the submitted jobs.
type Job struct {
	Size      int  // of the payload, in bytes
	Unique    bool // each has one of its own
	Functions int  // they take turns; 0 is 1
}

// Protocol is how one kind of server takes jobs in and gives them out: Gearman,
// Beanstalk or Redis.
type Protocol interface {
	// submission returns the packets of such background jobs.
	submission(Job) *submission
	// accepted returns how many whole acknowledgements b begins with, and their
	// bytes.
	accepted(b []byte) (n, used int, err error)
	// greet makes c a worker of these functions, if any. Where it waits for an
	// answer, connections do not come faster than the server accepts them.
	greet(c *conn, functions []string) error
	// grab returns the packets that ask for the first job.
	grab() []byte
	// assigned reads the answer that b begins with. If it is a job, it appends
	// to dst the packets that end it and ask for the next.
	assigned(dst, b []byte) (out []byte, used int, a answer, err error)
}

// answer is a server's answer to a worker.
type answer uint8

const (
	partly answer = iota // more bytes must come
	other
	job
	nothing // is left to do
)

// The protocols. Only Gearman has uniques, functions and foreground jobs.
var (
	Gearman   Protocol = gearman{}
	Beanstalk Protocol = beanstalk{}
	Redis     Protocol = redis{}
)

// Function returns the name of function i; a Job's are those from 0.
func Function(i int) string { return fmt.Sprintf("bench%0*d", functionDigits, i) }

const (
	functionDigits = 6
	uniqueDigits   = 16
)

// submission is a packet, many times over, and where its numbers stand.
type submission struct {
	packets    []byte
	size       int
	functions  int
	functionAt int // of its last digit
	uniqueAt   int // of its last digit; 0 in packets without a unique
	next       uint64
}

func newSubmission(packet []byte) *submission {
	const many = 64
	return &submission{packets: bytes.Repeat(packet, many), size: len(packet), functions: 1}
}

// take returns n packets, which are valid until it is called again; at most
// len(packets)/size of them.
func (s *submission) take(n int) []byte {
	out := s.packets[:n*s.size]
	if s.uniqueAt == 0 && s.functions == 1 {
		return out
	}
	for b := out; len(b) > 0; b = b[s.size:] {
		s.next++
		if s.uniqueAt > 0 {
			number(b, s.uniqueAt, uniqueDigits, s.next)
		}
		if s.functions > 1 {
			number(b, s.functionAt, functionDigits, s.next%uint64(s.functions))
		}
	}
	return out
}

// number writes n into the digits that end at a place of b.
func number(b []byte, at, digits int, n uint64) {
	for i := range digits {
		b[at-i] = byte('0' + n%10)
		n /= 10
	}
}

type gearman struct{}

func (gearman) submission(j Job) *submission {
	function, unique := Function(0), ""
	if j.Unique {
		unique = string(bytes.Repeat([]byte{'0'}, uniqueDigits))
	}
	s := newSubmission(wire.AppendString(nil, wire.Request, wire.SubmitJobBG, function, unique, payload(j.Size)))
	s.functions = max(j.Functions, 1)
	s.functionAt = wire.HeaderSize + len(function) - 1
	if j.Unique {
		s.uniqueAt = s.functionAt + 1 + uniqueDigits
	}
	return s
}

func (gearman) accepted(b []byte) (n, used int, err error) {
	for len(b)-used >= wire.HeaderSize {
		t, size := header(b[used:])
		if t != uint32(wire.JobCreated) {
			return n, used, unexpected(b[used:])
		}
		if len(b)-used < size {
			break
		}
		used += size
		n++
	}
	return n, used, nil
}

// greet waits until the server has read it all: an echo comes back.
func (gearman) greet(c *conn, functions []string) error {
	var out []byte
	for _, f := range functions {
		out = wire.AppendString(out, wire.Request, wire.CanDo, f)
	}
	return sync(c, out)
}

// sync sends packets, and returns when the server has read them.
func sync(c *conn, packets []byte) error {
	return c.converse(wire.AppendString(packets, wire.Request, wire.EchoReq, "here"),
		wire.AppendString(nil, wire.Response, wire.EchoRes, "here"))
}

var grabJob = wire.AppendString(nil, wire.Request, wire.GrabJob)

func (gearman) grab() []byte { return grabJob }

func (gearman) assigned(dst, b []byte) (out []byte, used int, a answer, err error) {
	if len(b) < wire.HeaderSize {
		return dst, 0, partly, nil
	}
	t, size := header(b)
	switch {
	case t == uint32(wire.NoJob):
		return dst, size, nothing, nil
	case t != uint32(wire.JobAssign):
		return dst, 0, other, unexpected(b)
	case len(b) < size:
		return dst, 0, partly, nil
	}
	dst = appendComplete(dst, b[:size], "")
	return append(dst, grabJob...), size, job, nil
}

// appendComplete appends the end of the job that was assigned.
func appendComplete(dst, assign []byte, result string) []byte {
	handle := assign[wire.HeaderSize:]
	handle = handle[:bytes.IndexByte(handle, 0)+1]
	dst = wire.AppendHeader(dst, wire.Request, wire.WorkComplete, len(handle)+len(result))
	return append(append(dst, handle...), result...)
}

func payload(size int) string { return string(bytes.Repeat([]byte{'x'}, size)) }

func unexpected(b []byte) error {
	return fmt.Errorf("unexpected answer: %.100q", b)
}
