package results

import (
	"errors"
	"fmt"
	"syscall"

	"gm/pkg/batch"
)

// Sink receives the results of records. The calls for a record are any number of
// calls of Data and one call of End. Records come one after the other, in the
// order in which the Batch passes them on, unless the Batch is Interleaved: then
// the calls for several records alternate.
//
// A failed record may have had Data. If it is done again, by a retry of the
// Batch or by a later run, its result begins anew as that of a new record.
//
// The methods are called one at a time, but not all from the same goroutine. An
// error of any method ends the run, except a *[RecordError] of End.
type Sink interface {
	// Data receives the next piece of a result. The piece is valid only during
	// the call.
	Data(r *batch.Record, piece []byte) error
	// End receives the outcome of a record, after the pieces of its result. If
	// it returns a *RecordError for a record that completed, the record counts
	// as failed, and the run goes on.
	End(r *batch.Record, o *Outcome) error
	// Flush writes the results that are still buffered.
	Flush() error
	// Close completes the output at the end of a run, after Flush unless the
	// run has failed. It is not called if the Output has failed.
	Close() error
}

// RecordError is returned by a Sink if the result of one record cannot be
// written, and those of other records are not affected.
type RecordError struct{ Err error }

// Error returns the text of Err.
func (e *RecordError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RecordError) Unwrap() error { return e.Err }

// writeError returns an error of writing a result: a RecordError, unless further
// results would fail as well.
func writeError(err error) error {
	err = fmt.Errorf("write result: %w", err)
	if failsAgain(err) {
		return err
	}
	return &RecordError{err}
}

// failsAgain reports whether the next result would meet the same error: there is
// no room, or the disk or the system fails.
func failsAgain(err error) bool {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return false
	}
	switch number {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.ESTALE,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
		return true
	}
	return false
}

// Discard is a Sink that writes nothing.
var Discard Sink = discard{}

type discard struct{}

// Data implements Sink.
func (discard) Data(*batch.Record, []byte) error { return nil }

// End implements Sink.
func (discard) End(*batch.Record, *Outcome) error { return nil }

// Flush implements Sink.
func (discard) Flush() error { return nil }

// Close implements Sink.
func (discard) Close() error { return nil }

// fileSink is a Sink that gives each record files of its own.
type fileSink interface {
	Sink
	// resultPath returns the path of the file with the result of r.
	resultPath(r *batch.Record) (string, error)
	// abandon removes the files of the record that is being written.
	abandon()
}

// deferredErrors is a fileSink that returns the RecordErrors of Data from End.
// After one, it drops the rest of the record's result.
type deferredErrors struct {
	fileSink
	failed error // of the record that is being written
}

// Data implements Sink.
func (d *deferredErrors) Data(r *batch.Record, piece []byte) error {
	if d.failed != nil {
		return nil
	}
	err := d.fileSink.Data(r, piece)
	var one *RecordError
	if !errors.As(err, &one) {
		return err
	}
	d.failed = one
	d.abandon()
	return nil
}

// End implements Sink.
func (d *deferredErrors) End(r *batch.Record, o *Outcome) error {
	failed := d.failed
	d.failed = nil
	if failed != nil && r.Err == nil {
		return failed
	}
	return d.fileSink.End(r, o)
}
