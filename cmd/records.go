package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gm/cmd/cli"
	"gm/internal/tune"
	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/results"
)

// recordRun is a run of submit, map or pipe: records from a source go through
// functions, and the results go to a sink. records_flags.go reads it from the
// command line.
type recordRun struct {
	*env
	opts  gearman.Options
	tasks []gearman.Task // one for each stage

	reduction *batch.Reduction // of all results to one; nil: none

	// Records.
	source   batch.Source
	input    *results.SizedSource // source, if it is a file of known size; else nil
	total    int                  // number of records; 0: unknown
	many     bool                 // there may be several records
	files    bool                 // a record is the content of a file
	blocks   bool                 // a record is a block of records of the input
	ending   string               // appended to results that do not end with it; empty: nothing
	endGiven bool                 // --end was given
	window   int
	memory   int
	retries  int
	patience time.Duration
	awaits   bool // patience is also for the first server
	halt     batch.Halt

	// Results.
	unordered  bool
	terminal   bool            // stderr is one
	toTerminal bool            // stdout is one
	output     *results.Output // stdout; nil before the run
	quiet      bool            // no handles
	status     bool
	propagate  bool
	format     cli.RowFormat // cli.FormatJSON, cli.FormatJSONL or none
	tag        bool
	lineBuffer bool             // each line is printed when it is complete
	functions  bool             // the function is printed before each line
	out        results.Template // empty: none
	anywhere   bool             // out may lead out of its folder
	results    string           // folder; empty: none

	joblog      string // file; empty: none
	resume      bool
	newOutput   bool // results of earlier runs may be elsewhere
	retryFailed bool
	dryRun      bool
	progress    progressOptions
	bar         *results.Bar // stderr, if the progress is drawn there; else nil
	awake       tune.Awake
}

// label returns the name of a record for --tag and for the names of its files.
func (s *recordRun) label(r *batch.Record) string {
	switch {
	case r.Name != "":
		return r.Name
	case s.blocks:
		return strconv.Itoa(r.Seq)
	}
	return strings.TrimSuffix(string(r.Payload), "\n")
}

// name returns the name of a record in messages.
func (s *recordRun) name(r *batch.Record) string {
	switch {
	case !s.many:
		return "job " + string(r.Handle)
	case s.files:
		return fmt.Sprintf("record %d, %s", r.Seq, r.Name)
	}
	return fmt.Sprintf("record %d", r.Seq)
}

// openOutput prepares stdout for the results.
func (s *recordRun) openOutput() (err error) {
	stdout := s.Stdout
	if s.bar != nil && s.toTerminal {
		stdout = s.bar.Stdout(stdout)
	}
	s.output, err = results.NewOutput(stdout, cli.FileOf(s.Stdout))
	return err
}

// newSink returns the sink that the flags choose.
func (s *recordRun) newSink() (results.Sink, error) {
	text := results.TextOptions{End: s.ending, Prefix: s.linePrefix(), EndLine: s.toTerminal && !s.endGiven}
	background := s.tasks[0].Background
	switch {
	case s.out != "":
		return results.NewFiles(results.FilesOptions{Template: s.out, Anywhere: s.anywhere, Label: s.label}), nil
	case s.results != "" && s.dryRun:
		return results.NewFolders(s.results, s.label), nil
	case s.results != "":
		if err := os.MkdirAll(s.results, 0o777); err != nil {
			return nil, fmt.Errorf("write results: %w", err)
		}
		return results.NewFolders(s.results, s.label), nil
	case s.format != "":
		return results.NewJSON(s.output, s.format == cli.FormatJSON && s.many), nil
	case s.lineBuffer:
		return results.NewLines(s.output, text), nil
	case background && s.quiet:
		return results.Discard, nil
	case background:
		return results.NewHandles(s.output, text), nil
	}
	return results.NewText(s.output, text), nil
}

// filesName returns the name of the records' files for the joblog; empty: they
// have none.
func (s *recordRun) filesName() string {
	switch {
	case s.out != "":
		return "--out " + string(s.out)
	case s.results != "":
		return "--results " + s.results
	}
	return ""
}

// linePrefix returns a function that returns the text before each line of a
// record's result; nil: none.
func (s *recordRun) linePrefix() func(r *batch.Record) string {
	function := ""
	if s.functions {
		function = s.tasks[len(s.tasks)-1].Function + ": "
	}
	switch {
	case s.tag:
		return func(r *batch.Record) string { return cli.EscapeTSV(s.label(r)) + "\t" + function }
	case s.functions:
		return func(*batch.Record) string { return function }
	}
	return nil
}

// leavesNothing reports whether a signal may end the process at once: there are
// no other results, and no files.
func (s *recordRun) leavesNothing() bool {
	return !s.many && s.out == "" && s.results == "" && s.joblog == ""
}

// run sends the records and returns when all have ended.
func (s *recordRun) run(c *cli.Context) error {
	if s.out != "" {
		s.source = results.NewNamedSource(s.source, s.out, s.anywhere, s.label)
	}
	if s.dryRun {
		return s.printDryRun()
	}
	s.openBar()
	if err := s.openOutput(); err != nil {
		return err
	}
	sink, err := s.newSink()
	if err != nil {
		return err
	}
	joblog, err := s.openJoblog(sink)
	if err != nil {
		return err
	}
	if joblog != nil {
		defer joblog.Close()
	}
	if c.Bool("require-worker") {
		for _, t := range s.tasks {
			if err := s.requireWorker(c.Context, s.opts, t.Function); err != nil {
				return err
			}
		}
	}
	if s.many {
		tune.LeastProcs() // for tune.Awake
	}
	if s.many && len(s.opts.Servers) > 1 {
		s.opts.Logger = slog.New(serverNotes{s})
	}
	client, err := gearman.NewClient(s.opts)
	if err != nil {
		return cli.UsageErrorf("%w", err)
	}
	if !s.leavesNothing() { // else its goroutines end with the process
		defer client.Close()
	}
	return s.runBatch(c.Context, s.newBatch(client), sink, joblog)
}

func (s *recordRun) newBatch(client batch.Submitter) *batch.Batch {
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
		Done:        s.stayAwake,
		Away:        func(err error) { s.note("waiting for a server that takes jobs: %v", err) },
		Back:        func(away time.Duration) { s.note("a server takes jobs again after %v", away.Round(time.Millisecond)) },
	}
	if s.reduction != nil {
		s.reduction.Part = s.stayAwake
	}
	return b
}

// stayAwake is called at the end of each job.
func (s *recordRun) stayAwake(*batch.Record) error {
	s.awake.Note()
	return nil
}

// recorderConfig returns the configuration that all runs share.
func (s *recordRun) recorderConfig(sink results.Sink) results.Config {
	return results.Config{
		Sink:         sink,
		Output:       s.output,
		Many:         s.many,
		KeepWarnings: s.format != "" || s.results != "",
		FlushEach:    s.toTerminal,
		Status:       s.status,
		Propagate:    s.propagate,
		Name:         s.name,
		ExitCode:     exitCode,
		Note:         func(text string) { s.note("%s", text) },
		WorkerText:   s.printWorkerText,
	}
}

// printWorkerText prints a worker's text on stderr as it is, except that it
// cannot control a terminal.
func (s *recordRun) printWorkerText(text []byte) {
	if s.terminal {
		text = []byte(cli.Printable(string(text), true))
	}
	s.Stderr.Write(text)
}

func (s *recordRun) runBatch(ctx context.Context, b *batch.Batch, sink results.Sink, joblog *results.Joblog) error {
	stopProgress := s.showProgress(b)
	ctx, unheed := s.heedSignals(ctx, b)
	unwatch := s.watchForWorkers(ctx, b)
	config := s.recorderConfig(sink)
	config.Joblog = joblog
	config.Ended = func() {
		unwatch()
		unheed()
		stopProgress()
	}
	report, err := results.New(config).Run(ctx, b, s.source)
	var part *batch.PartError
	switch {
	case errors.As(err, &part):
		said := *part
		said.Err = cmp.Or(report.First, part.Err)
		return cli.ExitWith(cmp.Or(report.Code, exitCode(part.Err)), &said)
	case errors.Is(err, batch.ErrHalted):
		s.note("%v", err)
		return s.verdict(report)
	case err != nil:
		return s.earlyEnd(report, err)
	}
	return s.verdict(report)
}

// earlyEnd returns the error of a run that err has ended.
func (s *recordRun) earlyEnd(report results.Report, err error) error {
	if report.Complete {
		return err
	}
	sig := (*cli.SignalError)(nil)
	if s.joblog != "" && errors.As(err, &sig) {
		s.note("%d records have ended; --resume goes on after them", report.Records+report.Skipped)
	}
	if errors.As(err, &sig) {
		return sig
	}
	ofOutput := s.output.Err() != nil && errors.Is(err, s.output.Err())
	if s.many && report.Records > 0 && !ofOutput {
		err = fmt.Errorf("after %d records: %w", report.Records, err)
	}
	if s.joblog != "" && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		err = cli.WithHint(err, "make room; --resume goes on with the records that have no line in "+s.joblog)
	}
	return err
}

// verdict returns the error of a run whose records have all ended.
func (s *recordRun) verdict(report results.Report) error {
	if report.Code == 0 {
		return nil
	}
	err := cli.ExitWith(report.Code, report.Err())
	switch {
	case s.many && report.Before > 0:
		return cli.WithHint(err, "--retry-failed does them again")
	case s.many:
		return cli.WithHint(err, hintFor(report.First))
	}
	return err
}
