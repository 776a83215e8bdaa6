package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"gm/cmd/cli"
	"gm/internal/tune"
	"gm/pkg/batch"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
	"gm/pkg/records"
	"gm/pkg/results"
)

// recordRun is a run of submit, map or pipe. records_flags.go reads it from the
// command line.
type recordRun struct {
	*env
	cfg   records.Config
	opts  gearman.Options
	tasks []gearman.Task // one for each stage

	terminal bool          // stderr is a terminal
	format   cli.RowFormat // cli.FormatJSON, cli.FormatJSONL or empty
	bar, eta bool          // forms of the progress on a terminal
	dryRun   bool
	awake    tune.Awake
}

// runRecords sends the records and returns when all have ended.
func (s *recordRun) runRecords(c *cli.Context) error {
	b := s.cfg.Batch
	b.Task, b.Stages, b.Done = s.tasks[0], s.tasks[1:], s.noteEnd
	if b.Reduce != nil {
		b.Reduce.Part = s.noteEnd
	}
	if s.dryRun {
		return s.printPlan()
	}
	s.showProgress()
	stop := func() {}
	s.cfg.Ended = func() { stop() }
	run, err := s.openRun()
	if err != nil {
		return err
	}
	defer run.Close()
	if c.Bool("require-worker") {
		if err := s.requireWorkers(c.Context); err != nil {
			return err
		}
	}
	if s.cfg.Input.Many {
		tune.LeastProcs() // for tune.Awake
		if len(s.opts.Servers) > 1 {
			s.opts.Logger = records.ServerNotes(s.cfg.Note)
		}
	}
	client, err := gearman.NewClient(s.opts)
	if err != nil {
		return cli.UsageErrorf("%w", err)
	}
	b.Client = client
	ctx := c.Context
	if !s.leavesNothing() { // else a signal, or the end of the process, ends all
		defer client.Close()
		ctx, stop = s.heedSignals(ctx)
	}
	report, err := run.Run(ctx)
	if err != nil {
		return s.endError(run, report, err)
	}
	return s.verdict(report)
}

// openRun opens the outputs and the joblog of the run.
func (s *recordRun) openRun() (*records.Run, error) {
	run, err := records.Open(s.cfg)
	switch {
	case err == nil:
		return run, nil
	case errors.Is(err, results.ErrJoblogIsOutput), errors.Is(err, results.ErrJoblogIrregular):
		return nil, cli.UsageErrorf("--joblog %w", err)
	case exitCode(err) == cli.ExitFailed:
		return nil, cli.ExitWith(cli.ExitIO, err)
	}
	return nil, err
}

// showProgress draws the progress on stderr if that is a terminal and a flag wants it.
func (s *recordRun) showProgress() {
	terminal := cli.TerminalOf(s.Stderr)
	if !s.bar && !s.eta || terminal == nil {
		return
	}
	bar := results.NewBar(s.Stderr)
	withBar := *s.env
	s.env = &withBar
	s.Stderr = bar
	s.cfg.Progress.Bar = bar
	s.cfg.Progress.Line = func() results.LineOptions {
		return results.LineOptions{
			Width:    cli.TerminalWidth(terminal),
			Bar:      s.bar,
			Duration: cli.FormatAge,
		}
	}
}

// noteEnd is called at the end of each job.
func (s *recordRun) noteEnd(*batch.Record) error {
	s.awake.Note()
	return nil
}

// printWorkerText prints a worker's text on stderr unchanged, except that it cannot
// control a terminal.
func (s *recordRun) printWorkerText(text []byte) {
	if s.terminal {
		text = []byte(cli.Printable(string(text), true))
	}
	s.Stderr.Write(text)
}

// leavesNothing reports whether a signal may end the process at once: there are no
// other results, and no files.
func (s *recordRun) leavesNothing() bool {
	return !s.cfg.Input.Many && s.cfg.Out == "" && s.cfg.Folder == "" && s.cfg.Joblog.Path == ""
}

// heedSignals returns a context that SIGINT or SIGTERM cancels. If jobs are running,
// the first Ctrl-C at a terminal only stops the sending of records, and gm waits for
// their results until the second one. A signal after the cancellation ends the
// process.
func (s *recordRun) heedSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	b := s.cfg.Batch
	drains := s.terminal && b.Reduce == nil
	stop := cli.OnSignals(func(signal syscall.Signal) {
		cause := &cli.SignalError{Sig: signal}
		running := b.Progress().Running
		switch {
		case ctx.Err() != nil:
			cli.DieBySignal(signal)
		case drains && signal == syscall.SIGINT && running > 0:
			drains = false
			s.note("no further records are sent; %d jobs are running, and their results are waited for; a second Ctrl-C ends it now", running)
			b.Drain(cause)
		default:
			cancel(cause)
		}
	}, os.Interrupt, syscall.SIGTERM)
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// endError returns the error of a run that ended with err.
func (s *recordRun) endError(run *records.Run, report results.Report, err error) error {
	var (
		part   *batch.PartError
		signal *cli.SignalError
	)
	switch logged := s.cfg.Joblog.Path != ""; {
	case errors.As(err, &part):
		failed := *part
		failed.Err = cmp.Or(report.First, part.Err)
		return cli.ExitWith(cmp.Or(report.Code, exitCode(part.Err)), &failed)
	case errors.Is(err, batch.ErrHalted):
		s.note("%v", err)
		return s.verdict(report)
	case report.Complete:
		return err
	case errors.As(err, &signal):
		if logged {
			s.note("%d records have ended; --resume goes on after them", report.Records+report.Skipped)
		}
		return signal
	case logged && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)):
		err = cli.WithHint(err, "make room; --resume goes on with the records that have no line in "+s.cfg.Joblog.Path)
	}
	ofOutput := run.OutputErr() != nil && errors.Is(err, run.OutputErr())
	if s.cfg.Input.Many && report.Records > 0 && !ofOutput {
		err = fmt.Errorf("after %d records: %w", report.Records, err)
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
	case s.cfg.Input.Many && report.Before > 0:
		return cli.WithHint(err, "--retry-failed does them again")
	case s.cfg.Input.Many:
		return cli.WithHint(err, hintFor(report.First))
	}
	return err
}

// planRow is a record that would be sent.
type planRow struct{ *records.Planned }

func (r *planRow) Cells(bool) []string {
	return []string{strconv.Itoa(r.Seq), r.Function, strconv.Itoa(r.Bytes), r.Name, r.Out, r.Error}
}

// printPlan prints the records that would be sent.
func (s *recordRun) printPlan() error {
	rows := cli.NewRowWriter(s.Stdout, cmp.Or(s.format, cli.FormatTSV), nil, nil)
	err := records.Plan(s.cfg, func(p *records.Planned) error { return rows.Add(&planRow{p}) })
	if err != nil {
		return err
	}
	return rows.Close()
}

// askTime is the maximum time that a server may take to list its workers.
const askTime = 10 * time.Second

// servedFunctions returns the functions of all servers for which there are workers.
// The errors are those of servers that did not answer.
func (s *recordRun) servedFunctions(ctx context.Context) []fleet.Answer[[]string] {
	return fleet.Ask(ctx, s.opts, askTime, func(ctx context.Context, admin *gearman.Admin) ([]string, error) {
		functions, err := admin.Status(ctx)
		var served []string
		for _, f := range functions {
			if f.Workers > 0 {
				served = append(served, f.Function)
			}
		}
		return served, err
	})
}

// requireWorkers returns an error unless each function has a worker on some server.
func (s *recordRun) requireWorkers(ctx context.Context) error {
	answers, err := succeeded(s.env, s.servedFunctions(ctx))
	if err != nil {
		return fmt.Errorf("ask for workers: %w", err)
	}
	for _, t := range s.tasks {
		if !slices.ContainsFunc(answers, func(a fleet.Answer[[]string]) bool { return slices.Contains(a.Value, t.Function) }) {
			return cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("no worker can do %s", t.Function)),
				"start one with gm work -f "+t.Function+" -- COMMAND; without --require-worker the job waits for one")
		}
	}
	return nil
}

// noteMissingWorkers notes the functions for which no server has a worker.
func (s *recordRun) noteMissingWorkers(ctx context.Context) {
	var served []string
	for _, a := range s.servedFunctions(ctx) {
		if a.Err != nil {
			return // its functions are unknown
		}
		served = append(served, a.Value...)
	}
	var functions []string
	for _, t := range s.tasks {
		functions = append(functions, t.Function)
	}
	if reduction := s.cfg.Batch.Reduce; reduction != nil {
		functions = append(functions, reduction.Task.Function)
	}
	slices.Sort(functions)
	for _, f := range slices.Compact(functions) {
		if slices.Contains(served, f) {
			continue
		}
		question := ""
		if near := cli.Nearest(f, served); near != "" {
			question = ", did you mean " + near + "?"
		}
		s.note("no worker can do %s yet%s (gm waits for one; Ctrl-C ends it)", f, question)
	}
}
