package cmd

import (
	"errors"
	"fmt"

	"gm/internal/exitline"
	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// outcome is the end of a record in words.
type outcome struct {
	state     string
	exit      *int // what the worker's command has ended with, if it was said
	warnings  []string
	exception []byte
	err       error // what is wrong; nil: nothing
	failure   int   // the exit code that a record makes of it; 0: it went well
}

// code is the exit code for the record: the command's, if that was said.
func (o *outcome) code() int {
	if o.exit != nil {
		return *o.exit
	}
	return o.failure
}

// hearsay is what a record's worker has said before its end.
type hearsay struct {
	warnings []string      // if they are kept
	last     exitline.Text // warning, without its text
}

// newOutcome tells the end of a record, the last of whose jobs was of task.
// Heard may be nil.
func newOutcome(r *batch.Record, task *gearman.Task, heard *hearsay) *outcome {
	var (
		o      = &outcome{state: "completed", err: r.Err, failure: exitCode(r.Err)}
		fail   *gearman.FailError
		raised *gearman.ExceptionError
		said   exitline.Text
	)
	if heard != nil {
		said = heard.last
		o.warnings = heard.warnings
	}
	switch {
	case r.Err == nil:
		if task.Background {
			o.state = "queued"
		}
		return o
	case errors.As(r.Err, &fail):
		o.state = "failed"
	case errors.As(r.Err, &raised):
		o.state = "exception"
		said = exitline.Parse(raised.Data)
		o.exception = said.Body
		o.err = fmt.Errorf("job %s raised an exception", r.Handle)
	case errors.Is(r.Err, gearman.ErrLost):
		o.state = "lost"
	case errors.Is(r.Err, gearman.ErrTimeout):
		o.state = "timeout"
	default:
		o.state = "error"
	}
	if said.Reason != "" && (fail != nil || raised != nil) {
		o.exit = &said.Code
		o.err = fmt.Errorf("job %s failed: %s", r.Handle, said.Reason)
	}
	return o
}
