package results

import (
	"errors"
	"fmt"

	"gm/internal/exitline"
	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// States of an Outcome.
const (
	StateCompleted = "completed"
	StateQueued    = "queued" // a background job that a server has taken
	StateFailed    = "failed"
	StateException = "exception"
	StateLost      = "lost" // its server went away
	StateTimeout   = "timeout"
	StateError     = "error" // any other error, such as a refusal of the server
)

// Outcome describes the end of a record.
type Outcome struct {
	State     string
	Task      *gearman.Task // of the record's latest job
	Exit      *int          // exit code of the worker's command; nil: it was not reported
	Warnings  []string      // only if Config.KeepWarnings is set
	Exception []byte        // text of the exception, without the exit code
	Err       error         // nil if the record completed
	Failure   int           // exit code of gm for Err; 0 if the record completed
}

// Code returns the exit code for the record: that of the worker's command if it
// was reported, otherwise Failure.
func (o *Outcome) Code() int {
	if o.Exit != nil {
		return *o.Exit
	}
	return o.Failure
}

// remarks are the messages of a record's worker before the record's end.
type remarks struct {
	warnings []string
	last     exitline.Text // the last warning, without its body
}

// add records a warning, and returns its text without the exit code.
func (m *remarks) add(warning []byte, keep bool) []byte {
	text := exitline.Parse(warning)
	body := text.Body
	m.last = text
	m.last.Body = nil
	if keep && len(body) > 0 {
		m.warnings = append(m.warnings, string(body))
	}
	return body
}

// newOutcome describes the end of a record whose latest job had the given task.
// m may be nil.
func newOutcome(r *batch.Record, task *gearman.Task, m *remarks, exitCode func(error) int) *Outcome {
	o := &Outcome{State: StateCompleted, Task: task, Err: r.Err}
	if m != nil {
		o.Warnings = m.warnings
	}
	switch {
	case r.Err != nil:
		o.Failure = exitCode(r.Err)
		o.describeError(r, m)
	case task.Background:
		o.State = StateQueued
	}
	return o
}

// describeError sets the state, and the details that the record's worker has
// sent about the error.
func (o *Outcome) describeError(r *batch.Record, m *remarks) {
	var (
		fail   *gearman.FailError
		raised *gearman.ExceptionError
		said   exitline.Text
	)
	if m != nil {
		said = m.last
	}
	switch {
	case errors.As(r.Err, &fail):
		o.State = StateFailed
	case errors.As(r.Err, &raised):
		o.State = StateException
		said = exitline.Parse(raised.Data)
		o.Exception = said.Body
		o.Err = fmt.Errorf("job %s raised an exception", r.Handle)
	case errors.Is(r.Err, gearman.ErrLost):
		o.State = StateLost
	case errors.Is(r.Err, gearman.ErrTimeout):
		o.State = StateTimeout
	default:
		o.State = StateError
	}
	if said.Reason != "" && (fail != nil || raised != nil) {
		o.Exit = &said.Code
		o.Err = fmt.Errorf("job %s failed: %s", r.Handle, said.Reason)
	}
}
