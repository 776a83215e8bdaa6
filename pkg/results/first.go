package results

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// Try is one of the jobs of RunFirst.
type Try struct {
	Client *gearman.Client
	Task   gearman.Task   // without payload and callbacks
	Server gearman.Server // the only one of Client, for messages
}

// attempt is a Try under way.
type attempt struct {
	*Try
	record  batch.Record
	result  []byte
	remarks remarks
}

// noneError is the error of RunFirst if no job has completed. It wraps the error
// of the first that failed.
type noneError struct {
	jobs  int
	first error
}

// Error implements error.
func (e *noneError) Error() string { return fmt.Sprintf("none of %d jobs has completed", e.jobs) }

// Unwrap returns the error of the first job that failed.
func (e *noneError) Unwrap() error { return e.first }

// RunFirst submits one record as several jobs at a time, and writes the result
// of the first that completes. It abandons the others, which may still run. If
// none completes, it writes the outcome of the first that failed. Config.Many
// must not be set, and Joblog is not used. The error is that of the Sink, or the
// cause of ctx's end.
func (w *Recorder) RunFirst(ctx context.Context, in batch.Input, tries []Try) (Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	ended := make(chan *attempt)
	for i := range tries {
		a := &attempt{Try: &tries[i], record: batch.Record{Seq: 1, Name: in.Name, Payload: in.Payload}}
		running.Go(func() {
			a.run(ctx)
			select {
			case ended <- a:
			case <-ctx.Done():
			}
		})
	}
	var first *attempt // that failed
	for range tries {
		select {
		case <-ctx.Done():
			return Report{}, context.Cause(ctx)
		case a := <-ended:
			if a.record.Err == nil {
				return Report{}, w.writeAttempt(a)
			}
			if first == nil {
				first = a
			}
			o := w.outcomeOf(a)
			w.recordFailed(&a.record, o)
			w.note("%s on %v: %v", a.Task.Function, a.Server, o.Err)
		}
	}
	if err := w.writeAttempt(first); err != nil {
		return Report{}, err
	}
	w.failures.first = &noneError{len(tries), first.record.Err}
	return w.report(batch.Summary{}), nil
}

// run runs the job.
func (a *attempt) run(ctx context.Context) {
	t := a.Task
	t.Payload = a.record.Payload
	t.OnCreated = func(h gearman.Handle) {
		a.record.Handle = h
		a.record.Attempts++
		a.remarks = remarks{}
	}
	t.OnWarning = func(b []byte) { a.remarks.add(b, true) }
	a.record.Started = time.Now()
	result, err := a.Client.Do(ctx, &t)
	a.record.Ended, a.record.Err = time.Now(), err
	if err == nil {
		a.result = result.Data
	}
}

func (w *Recorder) outcomeOf(a *attempt) *Outcome {
	return newOutcome(&a.record, &a.Task, &a.remarks, w.c.ExitCode)
}

// writeAttempt writes the result and the outcome of an attempt.
func (w *Recorder) writeAttempt(a *attempt) error {
	if !w.c.KeepWarnings {
		for _, text := range a.remarks.warnings {
			w.workerText([]byte(text))
		}
	}
	sink := w.c.Sink
	return errors.Join(
		sink.Data(&a.record, a.result),
		sink.End(&a.record, w.outcomeOf(a)),
		sink.Flush(),
		sink.Close(),
	)
}
