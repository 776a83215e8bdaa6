package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// recordRun is what submit, map and pipe have in common: records from a source
// go through functions, and what comes of each goes to a sink. records_flags.go
// reads it from the command line.
type recordRun struct {
	*env
	opts  gearman.Options
	tasks []gearman.Task // a stage each

	reduction *batch.Reduction // of all results to one; nil: none

	// Records.
	source   batch.Source
	input    *sizedSource // source, if it is a file of known size; else nil
	total    int          // how many there are; 0: not known
	many     bool         // several records, or possibly so
	files    bool         // a record is a file's content
	blocks   bool         // a record is a block of what the input calls records
	ending   string       // of results that lack it; empty: they stay as they are
	endGiven bool         // --end says so
	window   int
	memory   int
	retries  int
	patience time.Duration
	awaits   bool // patience is also for the first server
	halt     batch.Halt

	// Results.
	unordered  bool
	terminal   bool          // stderr is one
	toTerminal bool          // stdout is one
	output     *stdoutBuffer // stdout, once it is known where results go
	quiet      bool          // no handles
	status     bool
	propagate  bool
	format     rowFormat // formatJSON, formatJSONL or none
	tag        bool
	lineBuffer bool    // lines of a result are printed as they come
	functions  bool    // before each line, the function
	out        outName // empty: none
	anywhere   bool    // out may lead out of its folder
	results    string  // folder; empty: none

	joblog      string // file; empty: none
	resume      bool
	newOutput   bool // the output so far may be elsewhere
	retryFailed bool
	dryRun      bool
	progress    progressOptions
}

// taskOf returns what the latest job of a record is.
func (s *recordRun) taskOf(r *batch.Record) *gearman.Task {
	if s.reduction != nil && r.Stage > 0 {
		return &s.reduction.Task
	}
	return &s.tasks[r.Stage]
}

// label is what a record is called by --tag and in the names of its files.
func (s *recordRun) label(in *batch.Input, seq int) string {
	switch {
	case in.Name != "":
		return in.Name
	case s.blocks:
		return strconv.Itoa(seq)
	}
	return strings.TrimSuffix(string(in.Payload), "\n")
}

func (s *recordRun) labelOf(r *batch.Record) string {
	return s.label(&batch.Input{Name: r.Name, Payload: r.Payload}, r.Seq)
}

// keepsWarnings reports whether what workers say is part of the results, and
// is not told on stderr.
func (s *recordRun) keepsWarnings() bool { return s.format != "" || s.results != "" }

// newSink returns where results go, which may be out.
func (s *recordRun) newSink(out *stdoutBuffer) sink {
	switch {
	case s.out != "":
		f := &fileSink{path: func(r *batch.Record) (string, error) { return s.out.expand(s.labelOf(r), r.Seq) }}
		if !s.anywhere {
			f.base = s.out.base()
		}
		return &postponed{fileSinker: f}
	case s.results != "":
		return &postponed{fileSinker: &dirSink{dir: s.results, name: s.labelOf}}
	case s.format != "":
		return &jsonSink{stdoutBuffer: out, run: s, array: s.format == formatJSON && s.many}
	}
	if s.lineBuffer {
		return &lineSink{stdoutBuffer: out, ending: s.ending, prefix: s.linePrefix(), open: map[int]*openLine{}}
	}
	return &textSink{
		stdoutBuffer: out, ending: s.ending, prefix: s.linePrefix(), newline: s.toTerminal && !s.endGiven,
		handles: s.tasks[0].Background, quiet: s.quiet,
	}
}

// ownFiles reports whether each record has files of its own.
func (s *recordRun) ownFiles() bool { return s.out != "" || s.results != "" }

// filesName is what a joblog calls the records' files; empty: they have none.
func (s *recordRun) filesName() string {
	switch {
	case s.out != "":
		return "--out " + string(s.out)
	case s.results != "":
		return "--results " + s.results
	}
	return ""
}

// printsNothing reports whether there is no output.
func (s *recordRun) printsNothing() bool { return s.tasks[0].Background && s.quiet }

// linePrefix returns what is printed before each line of a record's result; nil
// for nothing.
func (s *recordRun) linePrefix() func(r *batch.Record) string {
	function := ""
	if s.functions {
		function = s.tasks[len(s.tasks)-1].Function + ": "
	}
	switch {
	case s.tag:
		return func(r *batch.Record) string { return escapeTSV(s.labelOf(r)) + "\t" + function }
	case s.functions:
		return func(*batch.Record) string { return function }
	}
	return nil
}

// leavesNothing reports whether there is nothing to be put in order when the run
// is ended by a signal: no other results, and no files.
func (s *recordRun) leavesNothing() bool {
	return !s.many && s.out == "" && s.results == "" && s.joblog == ""
}

// run sends the records and returns when all have ended.
func (s *recordRun) run(c *cli.Context) error {
	if s.out != "" {
		s.source = newOutNames(s.source, s.out, s.anywhere, s.label)
	}
	if s.dryRun {
		return s.pretend()
	}
	if s.results != "" {
		if err := os.MkdirAll(s.results, 0o777); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
	}
	out, err := s.bufferStdout()
	if err != nil {
		return err
	}
	s.output = out
	p := &recordPrinter{recordRun: s, sink: s.newSink(out)}
	if p.log, err = s.openLog(out); err != nil {
		return err
	}
	if p.log != nil {
		p.log.Before = p.sink.flush
		defer p.log.close()
	}
	if c.Bool("require-worker") {
		for _, t := range s.tasks {
			if err := s.requireWorker(c.Context, s.opts, t.Function); err != nil {
				return err
			}
		}
	}
	if s.many {
		s.enoughProcs()
	}
	if s.many && len(s.opts.Servers) > 1 {
		s.opts.Logger = slog.New(serverNotes{s})
	}
	client, err := gearman.NewClient(s.opts)
	if err != nil {
		return usageErrorf("%w", err)
	}
	if !s.leavesNothing() { // else its goroutines end with the process
		defer client.Close()
	}
	return s.runBatch(c.Context, p, s.newBatch(client, p))
}

func (s *recordRun) newBatch(client batch.Submitter, p *recordPrinter) *batch.Batch {
	b := &batch.Batch{
		Client:      client,
		Task:        s.tasks[0],
		Stages:      s.tasks[1:],
		Window:      s.window,
		Memory:      s.memory,
		Retries:     s.retries,
		Patience:    s.patience,
		WaitFirst:   s.awaits,
		Unordered:   s.unordered,
		Interleaved: s.lineBuffer,
		Halt:        s.halt,
		Reduce:      s.reduction,
		Data:        p.data,
		Done:        p.done,
		Flush:       p.flush,
		Warning:     p.warning,
		Retry:       p.retry,
		Away:        func(err error) { s.note("waiting for a server that takes jobs: %v", err) },
		Back:        func(away time.Duration) { s.note("a server takes jobs again after %v", away.Round(time.Millisecond)) },
	}
	if s.status {
		b.Status = p.progress
	}
	if p.log != nil && s.resume {
		b.Skip = p.log.skip(s.retryFailed)
	}
	return b
}

func (s *recordRun) runBatch(ctx context.Context, p *recordPrinter, b *batch.Batch) error {
	if s.reduction != nil {
		s.reduction.Part = p.part
	}
	stop := s.showProgress(b)
	ctx, unheed := s.heedSignals(ctx, b)
	unwatch := s.watchForWorkers(ctx, b)
	sum, err := b.Run(ctx, s.source)
	unwatch()
	unheed()
	stop()
	var full *outputError
	stdoutFailed := errors.As(err, &full)
	var endErr error
	if !stdoutFailed {
		endErr = p.sink.close()
	}
	if p.log != nil && endErr == nil {
		endErr = p.log.end(stdoutFailed)
	}
	if err == nil {
		err = endErr
	}
	var part *batch.PartError
	switch {
	case errors.As(err, &part):
		return p.unreduced(part)
	case errors.Is(err, batch.ErrHalted):
		s.note("%v", err)
		return p.verdict(sum)
	case err != nil:
		if p.log != nil && isSignal(err) {
			s.note("%d records have ended; --resume goes on after them", sum.Records+sum.Skipped)
		}
		if sig := (*signalError)(nil); errors.As(err, &sig) {
			return sig
		}
		err = s.early(sum, err)
		if p.log != nil && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
			err = withHint(err, "make room; --resume goes on with the records that have no line in "+s.joblog)
		}
		return err
	}
	if p.log != nil {
		if err := p.log.complete(s.resume); err != nil {
			return err
		}
	}
	return p.verdict(sum)
}

// early describes the early end of a run.
func (s *recordRun) early(sum batch.Summary, err error) error {
	var out *outputError
	if !s.many || sum.Records == 0 || errors.As(err, &out) {
		return err
	}
	return fmt.Errorf("after %d records: %w", sum.Records, err)
}
