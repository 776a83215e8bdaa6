package gearman

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"gm/pkg/wire"
)

// Handle identifies a job. It is unique within its server.
type Handle string

// Task describes a job that a client submits. The client keeps a pointer to the
// Task and never changes it. The same Task may be submitted many times, also at
// the same time, as long as it does not change. The caller may change it when the
// task has ended, and already in OnComplete unless Events is set.
type Task struct {
	// Function is the name of the function. It must not be empty or contain a
	// NUL.
	Function string

	// Unique makes submissions with the same Function and Unique join one job,
	// while that job waits or runs. If it is empty, every submission is a new job.
	// "-" makes the server compare the payloads; "#" is replaced by a hash of the
	// payload. A unique longer than Options.MaxUnique is replaced by its hash. It
	// must not contain a NUL.
	Unique string

	// Reducer names the function to which the worker should send its parts of the
	// job; see Job.Reducer. It requires Normal priority.
	Reducer string

	// Payload has any bytes, at most Options.MaxPayload. It is not copied. It must
	// not change until the task has ended, and if its context or Timeout ended it,
	// until the client is closed.
	Payload []byte

	// Priority is High, Normal or Low.
	Priority Priority

	// Background makes the task end with an empty Result when the server has
	// accepted the job.
	Background bool

	// At delays a background task of Normal priority until that time, rounded up
	// to whole seconds. Zero is no delay.
	At time.Time

	// Timeout limits the time from the submission to the end of the task, over all
	// attempts, in addition to the context. When it has passed, the task fails with
	// ErrTimeout. The job goes on, as Gearman has no packet to stop it. 0 is no
	// limit.
	Timeout time.Duration

	// Retries is the maximum number of times that the task is submitted again
	// after a failure, an exception, a full queue or a lost connection, or if no
	// server could be reached. After a lost connection the first job may have been
	// done or may still run, so set it only for jobs that may run twice. Before an
	// attempt that follows a lost connection, a full queue or the lack of a server,
	// the client waits; see Options.MinBackoff.
	Retries int

	// The callbacks are called one at a time and in order, by the goroutine that
	// reads the connection (OnRetry and OnFail by others, too). While one runs, the
	// other tasks of that connection receive nothing. So a callback must not block
	// for long, close the client, or wait for another task. The bytes that OnData,
	// OnWarning and OnException get are valid only during the call.

	// OnServer is called with the server that has accepted the job, immediately
	// before OnCreated.
	OnServer func(Server)
	// OnCreated is called with the handle of the job, once for each attempt.
	OnCreated func(Handle)
	// OnData is called with each part (WORK_DATA) of the result. Without OnData and
	// Events, Result.Data has all parts.
	OnData func([]byte)
	// OnWarning is called with each warning (WORK_WARNING).
	OnWarning func([]byte)
	// OnStatus is called with each progress report (WORK_STATUS).
	OnStatus func(numerator, denominator int64)
	// OnException is called with the data of an exception, before OnRetry or
	// OnFail.
	OnException func([]byte)
	// OnRetry is called before each further attempt, with the number of attempts
	// that have ended and the error of the last one. Earlier data of OnData is
	// void.
	OnRetry func(attempt int, err error)
	// Either OnComplete or OnFail is called, once and last. OnComplete gets
	// Result.Data.
	OnComplete func([]byte)
	OnFail     func(error)

	// Events receives all events of the task, in addition to the callbacks. Many
	// tasks may share the channel, and the client never closes it. While it is
	// full, the client does not read the connection of the task, so that a slow
	// receiver slows the server down and the memory does not grow. When the context
	// or Timeout has ended the task, events that do not fit are dropped.
	Events chan<- Event
}

// EventKind is the kind of an Event.
type EventKind int

// The kinds of events. They have the names of the callbacks.
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

// String returns the name, such as created or data.
func (k EventKind) String() string {
	if k < 1 || int(k) >= len(eventNames) {
		return "event(" + strconv.Itoa(int(k)) + ")"
	}
	return eventNames[k]
}

// Event is a step in the life of a task.
type Event struct {
	Task    *Task
	Kind    EventKind
	Handle  Handle
	Attempt int // from 1
	// Data is set for data, warning, exception and complete. The receiver owns it;
	// that of complete is Result.Data.
	Data []byte
	// Numerator and Denominator are set for status.
	Numerator, Denominator int64
	// Err is set for retry and fail.
	Err error
}

// check returns an error if the task is invalid.
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
	case !t.Priority.Valid():
		return fmt.Errorf("%v is not high, normal or low", t.Priority)
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

// maxNames is the maximum length in bytes of the names in one packet. It is below
// the limit of package wire.
const maxNames = 32 << 10

// The types of plain submissions, from High to Low.
var (
	foregroundTypes = [...]wire.Type{wire.SubmitJobHigh, wire.SubmitJob, wire.SubmitJobLow}
	backgroundTypes = [...]wire.Type{wire.SubmitJobHighBG, wire.SubmitJobBG, wire.SubmitJobLowBG}
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
		return backgroundTypes[t.Priority-High]
	}
	return foregroundTypes[t.Priority-High]
}

// appendNames appends the arguments of the submission, except the payload, to
// args, and their bytes to buf. It returns both for further use. key is the unique
// as it is sent.
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

// hashKey returns the text that, with the function, chooses the server of the
// task. It is empty if any server will do.
func (t *Task) hashKey(longestUnique int) string {
	if t.Unique == "-" {
		return sum(t.Payload)
	}
	return unique(t.Unique, t.Payload, longestUnique)
}

// Result is the result of a task that completed.
type Result struct {
	Handle Handle
	Server Server // the server of the job
	// Data has all parts of the job's result. If the task has OnData or Events, it
	// has only the last part. The receiver owns it.
	Data     []byte
	Attempts int // 1 if the first attempt succeeded
	// Once reports whether the server has accepted Options.Once. It is false without
	// that option, and for servers that do not have it or keep no results.
	Once bool
}
