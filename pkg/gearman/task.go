package gearman

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gm/pkg/wire"
)

// Handle is a job's name. It is unique within its server.
type Handle string

// Priority orders the jobs of all functions of a worker.
type Priority int

// The priorities. Normal is the zero value.
const (
	Normal Priority = iota
	High
	Low
)

// String returns normal, high or low.
func (p Priority) String() string {
	switch p {
	case Normal:
		return "normal"
	case High:
		return "high"
	case Low:
		return "low"
	}
	return "priority(" + strconv.Itoa(int(p)) + ")"
}

// ParsePriority reads what String writes, in any case. Empty is Normal.
func ParsePriority(s string) (Priority, error) {
	switch strings.ToLower(s) {
	case "", "normal":
		return Normal, nil
	case "high":
		return High, nil
	case "low":
		return Low, nil
	}
	return Normal, fmt.Errorf("priority %q is not high, normal or low", s)
}

// Task is what a client wants done. The client keeps the Task that it is given
// and writes nothing to it; the same Task may be submitted many times, also at
// once, as long as nobody changes it. Once OnComplete is called, it is the
// caller's again unless it has Events.
type Task struct {
	// Function is the name of the function. It must not be empty or contain
	// a NUL.
	Function string

	// Unique makes submissions of equal Function and Unique one job while
	// that job is queued or running; empty makes every submission a job. "-"
	// stands for the payload (the server compares), "#" is replaced by a hash of
	// the payload. One that is longer than Options.MaxUnique is replaced by a
	// hash of it. It must not contain a NUL.
	Unique string

	// Reducer names a function that the worker is told to send its parts to.
	// Servers take reducers at Normal priority only.
	Reducer string

	// Payload is any bytes, at most Options.MaxPayload. It is not copied:
	// it must not change until the task has ended, nor until the client is
	// closed if it was ended by its context or Timeout.
	Payload []byte

	// Priority is the job's place in the queue.
	Priority Priority

	// Background makes the task end, with an empty Result, once the server has
	// accepted the job.
	Background bool

	// At delays a background task of Normal priority until then, in whole
	// seconds (rounded up). Zero is no delay.
	At time.Time

	// Timeout bounds the task from its submission over all attempts, beside
	// the context. When it is up the task fails with ErrTimeout; the job
	// itself is not stopped, as Gearman cannot do that. 0 is no bound.
	Timeout time.Duration

	// Retries is how often the task is submitted again after a failure, an
	// exception, a full queue, a lost connection or when there was no server.
	// After a lost connection the first job may have been done or go on: set
	// it only for what may run twice. Attempts after a lost connection, a full
	// queue or without a server wait as Options.MinBackoff says.
	Retries int

	// The callbacks are called one at a time and in order, from the goroutine
	// that reads the connection (OnRetry and OnFail from others, too). While one
	// runs, no other task of that connection gets anything: it must not block for
	// long and must not close the client or wait for another task. Bytes
	// given to OnData, OnWarning and OnException are valid during the call only.

	// OnServer is called with the server that has accepted the job, right
	// before OnCreated.
	OnServer func(Server)
	// OnCreated is called with the job's handle, once an attempt.
	OnCreated func(Handle)
	// OnData gets each chunk (WORK_DATA) of a result. Without it and without
	// Events they are collected into Result.Data, however many there are.
	OnData func([]byte)
	// OnWarning gets each warning (WORK_WARNING).
	OnWarning func([]byte)
	// OnStatus gets each progress report (WORK_STATUS).
	OnStatus func(numerator, denominator int64)
	// OnException gets what an exception carries, before OnRetry or OnFail.
	OnException func([]byte)
	// OnRetry is called before each attempt but the first with the number of
	// attempts that have ended and the error of the last. What came before
	// from OnData is void.
	OnRetry func(attempt int, err error)
	// OnComplete and OnFail: one of them is called, once and last. OnComplete
	// gets Result.Data.
	OnComplete func([]byte)
	OnFail     func(error)

	// Events gets every event of the task, beside the callbacks, as a channel
	// that many tasks may share. The client never closes it. While it is full,
	// the reader of that connection waits for room: so a slow receiver slows
	// its server down instead of filling memory. After the context or Timeout
	// has ended the task, events that have no room are dropped.
	Events chan<- Event
}

// EventKind tells what has happened to a task.
type EventKind int

// The kinds of events, named as the callbacks are.
const (
	EventCreated EventKind = iota + 1
	EventData
	EventWarning
	EventStatus
	EventException
	EventRetry
	EventComplete
	EventFail
)

var eventNames = [...]string{"", "created", "data", "warning", "status", "exception", "retry", "complete", "fail"}

// String returns created, data, ...
func (k EventKind) String() string {
	if k < 1 || int(k) >= len(eventNames) {
		return "event(" + strconv.Itoa(int(k)) + ")"
	}
	return eventNames[k]
}

// Event is one thing that has happened to a task.
type Event struct {
	Task    *Task
	Kind    EventKind
	Handle  Handle
	Attempt int // from 1
	// Data is set for data, warning, exception and complete. The receiver owns
	// it, but that of complete is Result.Data.
	Data []byte
	// Numerator and Denominator are set for status.
	Numerator, Denominator int64
	// Err is set for retry and fail.
	Err error
}

// check reports what is wrong with the task, before anything is sent.
func (t *Task) check(o *Options) error {
	switch {
	case t.Function == "":
		return errors.New("task has no function")
	case !wire.ValidArg(t.Function):
		return fmt.Errorf("function %q has a NUL", t.Function)
	case !wire.ValidArg(t.Unique):
		return fmt.Errorf("unique %q has a NUL", t.Unique)
	case !wire.ValidArg(t.Reducer):
		return fmt.Errorf("reducer %q has a NUL", t.Reducer)
	case len(t.Function)+len(t.Reducer) > maxNames:
		return fmt.Errorf("names of function and reducer: %d bytes are over the limit %d", len(t.Function)+len(t.Reducer), maxNames)
	case len(t.Payload) > o.MaxPayload:
		return fmt.Errorf("payload: size %d %w of %d bytes", len(t.Payload), ErrTooLarge, o.MaxPayload)
	case t.Priority < Normal || t.Priority > Low:
		return fmt.Errorf("%v is none", t.Priority)
	case t.Reducer != "" && t.Priority != Normal:
		return errors.New("a task with a reducer has normal priority")
	case t.Timeout < 0:
		return fmt.Errorf("timeout %v is negative", t.Timeout)
	case t.Retries < 0:
		return fmt.Errorf("retries %d is negative", t.Retries)
	case t.At.IsZero():
		return nil
	case !t.Background || t.Priority != Normal || t.Reducer != "":
		return errors.New("a delayed task is a background task of normal priority, without a reducer")
	case t.At.Unix() < 0:
		return fmt.Errorf("time %v is before 1970", t.At)
	}
	return nil
}

// maxNames bounds the names in one packet, below what wire allows for them.
const maxNames = 32 << 10

var (
	foregroundTypes = [...]wire.Type{Normal: wire.SubmitJob, High: wire.SubmitJobHigh, Low: wire.SubmitJobLow}
	backgroundTypes = [...]wire.Type{Normal: wire.SubmitJobBG, High: wire.SubmitJobHighBG, Low: wire.SubmitJobLowBG}
)

// packetType returns the type of the submission.
func (t *Task) packetType() wire.Type {
	switch {
	case t.Reducer != "" && t.Background:
		return wire.SubmitReduceJobBG
	case t.Reducer != "":
		return wire.SubmitReduceJob
	case !t.At.IsZero():
		return wire.SubmitJobEpoch
	case t.Background:
		return backgroundTypes[t.Priority]
	}
	return foregroundTypes[t.Priority]
}

// appendNames appends the arguments of the submission but for the last, the
// payload, to args. Their bytes are appended to buf, which is returned: both are
// there to be used again. key is the unique as it is sent.
func (t *Task) appendNames(args [][]byte, buf []byte, key string) ([][]byte, []byte) {
	buf = buf[:0]
	add := func(s string) {
		from := len(buf)
		buf = append(buf, s...)
		args = append(args, buf[from:])
	}
	add(t.Function)
	add(key)
	switch {
	case t.Reducer != "":
		add(t.Reducer)
		add("") // reserved
	case !t.At.IsZero():
		at := t.At.Unix()
		if t.At.Nanosecond() > 0 {
			at++
		}
		add(strconv.FormatInt(at, 10))
	}
	return args, buf
}

// hashKey is what the choice of a server hangs on beside the function; empty
// if it does not matter.
func (t *Task) hashKey(longestUnique int) string {
	if t.Unique == "-" {
		return sum(t.Payload)
	}
	return unique(t.Unique, t.Payload, longestUnique)
}

// Result is the end of a task that went well.
type Result struct {
	Handle Handle
	Server Server // that had the job
	// Data is the job's result: the chunks that came before, unless OnData or
	// Events took them, and what came with its end. The receiver owns it.
	Data     []byte
	Attempts int // 1 if the first went well
}
