package batch

import (
	"context"
	"sync/atomic"
	"time"

	"gm/pkg/gearman"
)

const (
	// DefaultWindow is how many jobs are in flight unless a Batch says otherwise:
	// enough for some dozens of workers, few enough to be forgotten quickly when
	// the client goes away.
	DefaultWindow = 64
	// DefaultMemory is Batch.Memory's default, in bytes.
	DefaultMemory = 64 << 20
)

// Submitter is what a Batch needs of a client; *gearman.Client is one. If
// StartAsync returns no error, the task's OnComplete or OnFail is called exactly
// once, and after OnComplete nobody reads the task; if it does, OnFail may have
// been called before.
type Submitter interface {
	StartAsync(ctx context.Context, t *gearman.Task) (*gearman.Running, error)
}

// Batch is one job for each record of a source, or one for each record and
// stage. Its functions, all optional, are called one at a time, not all from
// the same goroutine, and must not call back into the Batch but for Progress;
// while one of them blocks, results are not read. A *Record that they are given
// is theirs until Done has returned: what is to be kept is copied.
//
// A Batch must not be copied or changed once it runs.
type Batch struct {
	Client Submitter
	// Task is what the jobs have in common. Its payload, callbacks and retries
	// are not used.
	Task gearman.Task
	// Stages are what comes after Task: the whole result of one stage is the
	// payload of the next. The stages of different records overlap.
	Stages []gearman.Task

	Window int // jobs in flight, of all stages together; 0 means DefaultWindow
	Memory int // see the package comment; 0 means DefaultMemory
	// Retries is how often a job that failed, or whose server was lost, is sent
	// again, for each stage. Unless 0, a result is not handed on before its job
	// has ended.
	Retries int
	// Repeatable says that jobs may run twice: one whose server was lost is sent
	// again, however often, as if it had a unique.
	Repeatable bool
	// Patience is how long the batch waits for a server that takes jobs after
	// one has taken some, or has answered that it is shutting down: 0 means not at
	// all. A batch whose first record finds no server does not wait.
	Patience time.Duration
	// WaitFirst has the batch wait so for the first server, too.
	WaitFirst bool
	// Unordered has records handed on as they end, each whole, instead of in
	// the order of the input.
	Unordered bool
	// Interleaved has the results of all records that are in flight handed on as
	// they arrive, in pieces, and Done called as they end; it includes Unordered.
	Interleaved bool
	// Halt is when failed records end the batch.
	Halt Halt
	// Reduce has the results folded into one: Data and Done are given that alone,
	// as the record 1, with Handle, Server and times of the last job; nothing if
	// there are no records. A record that fails, or a job of the reduction, ends
	// the batch with a PartError; Halt and Unordered mean nothing then, and Skip
	// is not allowed. Of what is told as it happens, Stage is the level of the
	// reduction, from 1, where it is about one of its jobs.
	Reduce *Reduction

	// Skip is called for each record before it is first sent, in the order of
	// the input, with Seq, Name, Payload, Function and Unique set, and Err if it
	// could not be read. One that it reports true for is left out: it is only
	// counted. An error ends the batch.
	Skip func(r *Record) (bool, error)
	// Data is given the results in the order of the input, in pieces. The piece
	// is valid during the call only. An error ends the batch.
	Data func(r *Record, piece []byte) error
	// Done is called for each record in the order of the input, after its data.
	// It may set r.Err of one that has completed: then that counts as failed. An
	// error ends the batch.
	Done func(r *Record) error
	// Flush is called some milliseconds after Data or Done at the latest, at once
	// if nothing is in flight, and at the end of Run unless a function of the
	// Batch has failed: the time to write what they have buffered. An error ends
	// the batch.
	Flush func() error

	// The following are called as it happens, in no order of records.

	Created func(r *Record)                 // the server has taken it; r.Handle and r.Server are set
	Warning func(r *Record, text []byte)    // text is valid during the call only
	Status  func(r *Record, num, den int64) // the worker's progress
	Retry   func(r *Record, err error)      // it is to be sent again because of err
	Away    func(err error)                 // no server takes jobs: the batch waits
	Back    func(away time.Duration)        // one does again; set if Away is

	begun bool                 // a server has taken jobs before
	run   atomic.Pointer[run]  // of the latest Run
	fold  atomic.Pointer[fold] // the same, with Reduce
}

// Record is one record and what became of it.
type Record struct {
	Seq      int    // its place in the input, from 1
	Name     string // as the source gave it
	Payload  []byte // the same
	Unread   bool   // it could not be read: Err is the source's, and it is not sent
	Function string // what it goes through: the functions of all stages, parted by |
	Unique   string // of the first stage, as in its task: it may be - or #
	Stage    int    // the stage that it is at, from 0: where it failed, or the last
	Handle   gearman.Handle
	Server   gearman.Server // that has, or had, the latest job; zero if none had one
	Attempts int            // how often a server has, or may have, taken it, all stages together
	Bytes    int64          // of its result
	Started  time.Time      // when it was first sent
	Ended    time.Time
	Err      error // nil if it completed; once it has ended
}

// Summary counts the records of a Run.
type Summary struct {
	Records int // handed to Done
	Failed  int // of these, with an error
	Lost    int // of the failed, because the server went away in mid-job
	Skipped int // left out, beside those
}

// Drain has the Run in progress begin no further records: it returns because of
// cause when those that are in flight have ended. With Reduce, which needs all
// records, it returns at once. Without a Run it does nothing. It may be called at
// any time, by any goroutine.
func (b *Batch) Drain(cause error) {
	if f := b.fold.Load(); f != nil {
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

// Run sends the records and returns when all have ended. Records that failed
// are in the summary and no error of Run; its error is that of the source, of
// Skip, Data, Done or Flush, of ctx, says that there is no server, or is an
// ErrHalted. The summary is right in any case.
//
// When Run returns early, a Next of the source that blocks is left behind: its
// goroutine ends with it. None of the Batch's functions is called after Run's
// return.
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
