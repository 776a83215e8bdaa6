package results

import (
	"cmp"
	"errors"
	"fmt"

	"gm/pkg/batch"
)

// Report is the end of a run.
type Report struct {
	batch.Summary
	// Before is the number of failed records of earlier runs that the Joblog
	// left out.
	Before int
	// First is the error of the first record that failed; nil if none did.
	First error
	// Code is the exit code for all records: 0 if none failed, 75 if one was
	// lost, otherwise the code that all failures share, or 1.
	Code int
	// Complete is true if all records of the source have ended, and all results
	// are written.
	Complete bool

	many bool
}

// Err returns an error that counts the failed records, or the error of the only
// record if Config.Many is not set; nil if none failed.
func (r *Report) Err() error {
	switch {
	case r.Code == 0:
		return nil
	case !r.many:
		return r.First
	}
	text := fmt.Sprintf("%d of %d records failed", r.Failed+r.Before, r.Records+r.Skipped)
	if r.Lost > 0 {
		text += fmt.Sprintf(", %d of them lost with their server", r.Lost)
	}
	if r.Before > 0 {
		text += fmt.Sprintf(", %d of them before", r.Before)
	}
	return errors.New(text)
}

// failures counts the records that failed.
type failures struct {
	n        int
	code     int   // exit code for all of them
	first    error // of the first that failed
	reported int   // exit code of its command, if its worker reported one
}

func (f *failures) add(r *batch.Record, o *Outcome) {
	if f.n++; f.n == 1 {
		f.first, f.code = cmp.Or(o.Err, r.Err), o.Failure
		if o.Exit != nil {
			f.reported = *o.Exit
		}
	}
	switch {
	case o.Failure == f.code:
	case o.Failure == batch.ExitAgain || f.code == batch.ExitAgain:
		f.code = batch.ExitAgain
	default:
		f.code = exitFailed
	}
}

// report describes the end of a run with the given summary.
func (w *Recorder) report(sum batch.Summary) Report {
	f := &w.failures
	r := Report{Summary: sum, First: f.first, Code: f.code, many: w.c.Many}
	if w.c.Joblog != nil {
		r.Before = w.c.Joblog.failedBefore()
	}
	switch {
	case w.c.Propagate && f.reported != 0:
		r.Code = f.reported
	case f.n == 0 && r.Before > 0:
		r.Code = exitFailed
	}
	return r
}
