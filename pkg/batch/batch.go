package batch

import (
	"context"
	"sync/atomic"
	"time"

	"gm/pkg/gearman"
)

const (
	// DefaultWindow is the default of Batch.Window: enough for some dozens of
	// workers, and few enough for the servers to drop quickly when the client
	// goes away.
	DefaultWindow = 64
	// DefaultMemory is the default of Batch.Memory in bytes.
	DefaultMemory = 64 << 20
)

// Submitter is the part of a client that a Batch uses; *gearman.Client is one.
// If StartAsync returns nil, it calls the task's OnComplete or OnFail exactly
// once, and does not read the task after OnComplete. If it returns an error, it
// may have called OnFail before.
type Submitter interface {
	StartAsync(ctx context.Context, t *gearman.Task) (*gearman.Running, error)
}

// Batch runs one job for each record of a source, or one for each record and
// stage. Its functions are all optional. They are called one at a time, but not
// all from the same goroutine. They must not call methods of the Batch, except
// Progress; while one of them blocks, no results are read. A *Record that they
// get is valid until Done has returned; copy its data to keep them.
//
// Do not copy or change a Batch after Run has begun.
type Batch struct {
	Client Submitter
	// Task has the settings that all jobs share. Its payload, callbacks and
	// retries are not used.
	Task gearman.Task
	// Stages are the tasks after Task: the whole result of one stage is the
	// payload of the next. The stages of different records overlap.
	Stages []gearman.Task

	Window int // jobs in flight, of all stages together; 0 means DefaultWindow
	Memory int // see the package comment; 0 means DefaultMemory
	// Retries is the maximum number of times that a job is sent again after it
	// failed or its server was lost, for each stage. Unless it is 0, no part of
	// a result is passed on before its job has ended.
	Retries int
	// Repeatable allows jobs to run twice: a job whose server was lost is sent
	// again, without limit, as if it had a unique.
	Repeatable bool
	// Patience is how long the batch waits for a server that takes jobs, after
	// a server has taken some or has answered that it is shutting down; 0 is no
	// wait. A batch whose first record finds no server does not wait.
	Patience time.Duration
	// WaitFirst makes the batch wait for the first server, too.
	WaitFirst bool
	// Unordered passes on each whole record when it ends, instead of in the
	// order of the input.
	Unordered bool
	// Interleaved passes on the results of all records in flight as they
	// arrive, in pieces, and calls Done for each record when it ends. It
	// implies Unordered.
	Interleaved bool
	// Halt sets when failed records end the batch.
	Halt Halt
	// Reduce combines the results into one: Data and Done get only that result,
	// as record 1, with Handle, Server and times of the last job, and are not
	// called if there are no records. A failed record, or a failed job of the
	// reduction, ends the batch with a PartError. Halt and Unordered have no
	// effect then, and Skip is not allowed. In the calls for a job of the
	// reduction, Stage is its level, from 1.
	Reduce *Reduction

	// Skip is called for each record before it is first sent, in the order of
	// the input, with Seq, Name, Payload, Function and Unique set, and Err if
	// the record could not be read. If it returns true, the record is only
	// counted. An error ends the batch.
	Skip func(r *Record) (bool, error)
	// Data is called with the results in the order of the input, in pieces. A
	// piece is valid only during the call. An error ends the batch.
	Data func(r *Record, piece []byte) error
	// Done is called for each record in the order of the input, after its data.
	// It may set r.Err of a completed record, which then counts as failed. An
	// error ends the batch.
	Done func(r *Record) error
	// Flush tells the caller to write the output that Data and Done have
	// buffered. It is called at most some milliseconds after Data or Done, at
	// once if nothing is in flight, and at the end of Run unless a function of
	// the Batch has failed. An error ends the batch.
	Flush func() error

	// The following are called at the time of the event, in no order of
	// records.

	Created func(r *Record)                 // a server has taken the job; r.Handle and r.Server are set
	Warning func(r *Record, text []byte)    // text is valid only during the call
	Status  func(r *Record, num, den int64) // the worker's progress
	Retry   func(r *Record, err error)      // the job will be sent again because of err
	Away    func(err error)                 // no server takes jobs, and the batch waits
	Back    func(away time.Duration)        // a server takes jobs again; required with Away

	begun    bool                     // a server has taken jobs before
	run      atomic.Pointer[run]      // of the latest Run
	reducing atomic.Pointer[reducing] // the same, with Reduce
}

// Record is one record and its outcome.
type Record struct {
	Seq      int    // its place in the input, from 1
	Name     string // from the source
	Payload  []byte // the same
	Unread   bool   // it could not be read: Err is the source's, and it is not sent
	Function string // the functions of all stages, separated by |
	Unique   string // unique of the first stage, as in its task: it may be - or #
	Stage    int    // its present stage, from 0; after the end the stage that failed, or the last
	Handle   gearman.Handle
	Server   gearman.Server // server of its latest job; zero if there was none
	Attempts int            // how often a server has, or may have, taken a job of it, in all stages
	Bytes    int64          // bytes of its result
	Started  time.Time      // time when it was first sent
	Ended    time.Time
	Err      error // after its end: nil if it completed
}

// Summary counts the records of a Run.
type Summary struct {
	Records int // records for which Done was called
	Failed  int // of these, records with an error
	Lost    int // of the failed, records whose server went away during the job
	Skipped int // other records, which Skip left out
}

// Drain makes the Run in progress begin no further records. Run returns with
// cause when the records in flight have ended, or, with Reduce, which needs all
// records, at once. Without a Run, Drain does nothing. It may be called at any
// time, by any goroutine.
func (b *Batch) Drain(cause error) {
	if f := b.reducing.Load(); f != nil {
		f.stop(cause)
		return
	}
	r := b.run.Load()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halted == nil {
		r.halted = cause
	}
	r.poke()
}

// Run sends the records and returns when all have ended. Failed records are
// counted in the summary and are no error of Run. Run returns the error of the
// source, of Skip, Data, Done or Flush, of ctx, or for the lack of a server, or
// an ErrHalted. The summary is correct in all cases.
//
// When Run returns early while Next of the source blocks, the goroutine of that
// call ends when Next returns. None of the Batch's functions is called after
// Run's return.
func (b *Batch) Run(ctx context.Context, src Source) (Summary, error) {
	if b.Reduce != nil {
		return b.reduce(ctx, src)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := newRun(ctx, cancel, b)
	b.run.Store(r)
	return r.close(r.loop(src))
}
