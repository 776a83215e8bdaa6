package results

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// Config is the configuration of a Recorder. Only Sink is required.
type Config struct {
	Sink   Sink
	Output *Output // the one that Sink writes to, or nil
	Joblog *Joblog // nil: no log
	// Many allows several records: Note gets a text for each that fails, and
	// the Report counts them.
	Many bool
	// KeepWarnings gives the warnings and exceptions of workers to the Sink, and
	// not to WorkerText.
	KeepWarnings bool
	// FlushEach flushes the Sink after each record, as for a terminal.
	FlushEach bool
	// Status gives the progress of jobs to Note.
	Status bool
	// Propagate makes the exit code of the worker's command that of the Report.
	Propagate bool

	// Name returns the name of a record for messages; nil: its number.
	Name func(r *batch.Record) string
	// ExitCode returns the exit code for an error of a record, 0 for nil; nil: 1
	// for each error.
	ExitCode func(err error) int
	// Note is called with a text for the user; nil: no texts.
	Note func(text string)
	// WorkerText is called with lines that a worker has sent as warnings or as
	// an exception. They are valid only during the call; nil: no lines.
	WorkerText func(text []byte)
	// Ended is called when the Batch has ended, before the Sink is closed and
	// the Joblog completed; nil: no call.
	Ended func()
}

// exitFailed is the exit code of a failure of no special kind.
const exitFailed = 1

// Recorder runs a Batch and writes its results to a Sink. It is for one run.
type Recorder struct {
	c     Config
	batch *batch.Batch

	remarks  map[jobKey]*remarks // of the workers of records that have not ended
	lostAt   time.Time           // when records in flight were last lost
	failures failures
}

// jobKey identifies a record in progress. In a reduction, each stage has records
// of its own.
type jobKey struct{ stage, seq int }

// New returns a Recorder.
func New(c Config) *Recorder {
	if c.ExitCode == nil {
		c.ExitCode = func(err error) int {
			if err == nil {
				return 0
			}
			return exitFailed
		}
	}
	if c.Joblog != nil {
		c.Joblog.log.Before = c.Sink.Flush
	}
	return &Recorder{c: c, remarks: map[jobKey]*remarks{}}
}

// Run runs b with the records of src. It sets b's Data, Done, Flush, Warning,
// Retry, Status, Skip, and Part of its Reduce. A Done or Part of the caller is
// called first; the others must not be set. The error is that of b's Run, of the
// Sink or of the Joblog; the Report is correct in all cases.
func (w *Recorder) Run(ctx context.Context, b *batch.Batch, src batch.Source) (Report, error) {
	w.attach(b)
	sum, err := b.Run(ctx, src)
	if w.c.Ended != nil {
		w.c.Ended()
	}
	if endErr := w.end(); err == nil {
		err = endErr
	}
	report := w.report(sum)
	report.Complete = err == nil
	if err == nil && w.c.Joblog != nil {
		err = w.c.Joblog.checkAllSeen()
	}
	return report, err
}

// attach sets the functions of b.
func (w *Recorder) attach(b *batch.Batch) {
	w.batch = b
	b.Data = w.c.Sink.Data
	b.Done = callBoth(b.Done, w.recordDone)
	b.Flush = w.flush
	b.Warning = w.warning
	b.Retry = w.retry
	if w.c.Status {
		b.Status = func(r *batch.Record, num, den int64) { w.note("%s: %d/%d", w.name(r), num, den) }
	}
	if w.c.Joblog != nil && w.c.Joblog.c.Resume {
		b.Skip = w.c.Joblog.Skip()
	}
	if b.Reduce != nil {
		b.Reduce.Part = callBoth(b.Reduce.Part, w.partDone)
	}
}

// callBoth returns a function that calls first, which may be nil, and then
// second, unless first returns an error.
func callBoth(first, second func(r *batch.Record) error) func(r *batch.Record) error {
	if first == nil {
		return second
	}
	return func(r *batch.Record) error {
		if err := first(r); err != nil {
			return err
		}
		return second(r)
	}
}

// end completes the output and the log.
func (w *Recorder) end() error {
	outputFailed := w.c.Output != nil && w.c.Output.Err() != nil
	if !outputFailed {
		if err := w.c.Sink.Close(); err != nil {
			return err
		}
	}
	if w.c.Joblog != nil {
		return w.c.Joblog.end(outputFailed)
	}
	return nil
}

// recordDone writes the end of a record.
func (w *Recorder) recordDone(r *batch.Record) error {
	o := w.outcome(r)
	switch {
	case w.c.Many && errors.Is(r.Err, gearman.ErrTooLarge):
		o.Failure = exitFailed // the record is wrong, not the run
	case w.c.Many && errors.Is(r.Err, gearman.ErrLost):
		o.Failure = batch.ExitAgain // for any reason: it has not ended
	}
	if o.Err != nil && len(w.batch.Stages) > 0 && r.Attempts > 0 {
		o.Err = fmt.Errorf("stage %d, %s: %w", r.Stage+1, o.Task.Function, o.Err)
	}
	err := w.c.Sink.End(r, o)
	if err != nil && r.Err == nil {
		err = w.failRecord(r, o, err)
	}
	if err == nil && w.c.FlushEach {
		err = w.c.Sink.Flush() // before a text about it
	}
	if r.Err != nil {
		w.recordFailed(r, o)
	}
	if err != nil {
		return err
	}
	if w.c.Joblog != nil {
		return w.c.Joblog.append(r, o)
	}
	return nil
}

// failRecord makes a record that completed a failed one if err is a RecordError,
// and returns nil then. It returns any other error.
func (w *Recorder) failRecord(r *batch.Record, o *Outcome, err error) error {
	var one *RecordError
	if !errors.As(err, &one) {
		return err
	}
	r.Err = one.Err
	o.State, o.Err, o.Failure = StateError, one.Err, w.c.ExitCode(one.Err)
	return nil
}

// partDone notes the end of a job whose result goes into a reduction.
func (w *Recorder) partDone(r *batch.Record) error {
	if o := w.outcome(r); r.Err != nil {
		w.recordFailed(r, o)
	}
	return nil
}

// outcome describes the end of a record, and forgets the remarks of its worker.
func (w *Recorder) outcome(r *batch.Record) *Outcome {
	key := w.keyOf(r)
	m := w.remarks[key]
	delete(w.remarks, key)
	return newOutcome(r, w.taskOf(r), m, w.c.ExitCode)
}

// taskOf returns the task of a record's latest job.
func (w *Recorder) taskOf(r *batch.Record) *gearman.Task {
	switch {
	case r.Stage == 0:
		return &w.batch.Task
	case w.batch.Reduce != nil:
		return &w.batch.Reduce.Task
	}
	return &w.batch.Stages[r.Stage-1]
}

func (w *Recorder) keyOf(r *batch.Record) jobKey {
	if w.batch.Reduce != nil {
		return jobKey{r.Stage, r.Seq}
	}
	return jobKey{seq: r.Seq}
}

// flush writes the results that are buffered, and then the lines of the log.
func (w *Recorder) flush() error {
	if w.c.Joblog != nil {
		return w.c.Joblog.log.Flush()
	}
	return w.c.Sink.Flush()
}

// warning passes on a warning without its exit code, or keeps it for the Sink.
func (w *Recorder) warning(r *batch.Record, text []byte) {
	key := w.keyOf(r)
	m := w.remarks[key]
	if m == nil {
		m = &remarks{}
		w.remarks[key] = m
	}
	body := m.add(text, w.c.KeepWarnings)
	if !w.c.KeepWarnings {
		w.workerText(body)
	}
}

// retry notes that a job will be sent again.
func (w *Recorder) retry(r *batch.Record, err error) {
	delete(w.remarks, w.keyOf(r))
	if w.c.Many && errors.Is(err, gearman.ErrLost) {
		// All records in flight are lost at once: one text for all.
		if now := time.Now(); now.Sub(w.lostAt) > time.Second {
			w.lostAt = now
			w.note("the jobs in flight are submitted again: %v", err)
		}
		return
	}
	w.note("%s: submitted again: %v", w.name(r), err)
}

// recordFailed counts a record that failed, and if there are many, notes it.
func (w *Recorder) recordFailed(r *batch.Record, o *Outcome) {
	w.failures.add(r, o)
	if !w.c.KeepWarnings {
		w.workerText(o.Exception)
	}
	if w.c.Many && w.batch.Reduce == nil {
		w.note("%s: %v", w.name(r), o.Err)
	}
}

func (w *Recorder) name(r *batch.Record) string {
	if w.c.Name != nil {
		return w.c.Name(r)
	}
	return "record " + strconv.Itoa(r.Seq)
}

func (w *Recorder) note(format string, args ...any) {
	if w.c.Note != nil {
		w.c.Note(fmt.Sprintf(format, args...))
	}
}

// workerText passes on a worker's text, if there is any.
func (w *Recorder) workerText(text []byte) {
	if len(text) > 0 && w.c.WorkerText != nil {
		w.c.WorkerText(endLine(text))
	}
}

// endLine returns text with a newline at its end, if there is any text.
func endLine(text []byte) []byte {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		return append(bytes.Clone(text), '\n')
	}
	return text
}
