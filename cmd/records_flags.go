package cmd

import (
	_ "embed" // for the description
	"errors"
	"slices"
	"time"

	"gm/cmd/cli"
	"gm/internal/escape"
	"gm/pkg/batch"
	"gm/pkg/gearman"
	"gm/pkg/records"
	"gm/pkg/results"
)

// Categories of the flags of records.
const (
	catRecords  = "Records"
	catResults  = "Results"
	catJoblog   = "Joblog"
	catFailures = "Failures"
	catProgress = "Progress"
)

// recordDescription is the end of the verbs' descriptions.
//
//go:embed help/records.txt
var recordDescription string

// recordExits are the exit codes of the verbs.
var recordExits = []int{cli.ExitFailed, cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitRefused, cli.ExitTimeout, cli.ExitSignal}

// recordVerbFlags returns all flags of a verb, of which own are its own.
func (e *env) recordVerbFlags(own []cli.Flag) []cli.Flag {
	return slices.Concat(own, taskFlags(), recordFlags(), e.connFlags(), []cli.Flag{payloadFlag()})
}

// taskFlags returns the flags of each job.
func taskFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "unique", Aliases: []string{"u"}, Usage: "jobs of the same function and `KEY` are one job while it is queued or running; - means the payload, # a hash of it"},
		&cli.BoolFlag{Name: "high", Aliases: []string{"I"}, Usage: "high priority"},
		&cli.BoolFlag{Name: "low", Aliases: []string{"L"}, Usage: "low priority"},
		cli.DurationFlag(0, cli.GenericFlag{Name: "timeout", Aliases: []string{"t"}, Usage: "give up a job that has not ended after `TIME`; the exit code is 124. A bare number is in milliseconds"}),
		&cli.BoolFlag{Name: "require-worker", Usage: "exit with 3 if no worker can do the function, instead of waiting for one"},
		&cli.BoolFlag{Name: "status", Usage: "print the progress of the jobs on stderr"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Category: cli.CatOutput, Usage: "print the outcome of each job in `FORMAT` json or jsonl, instead of its result"},
	}
}

// recordFlags returns the flags of records and their results.
func recordFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "each-line", Aliases: []string{"n"}, Category: catRecords, Usage: "a job for each line of stdin, with its newline"},
		&cli.IntFlag{Name: "lines", Category: catRecords, Usage: "a job for `N` lines, or records of -0, -d, --csv or --tsv, with their ends"},
		&cli.BoolFlag{Name: "stripped", Aliases: []string{"N"}, Category: catRecords, Usage: "a job for each line, without its newline"},
		&cli.BoolFlag{Name: "null", Aliases: []string{"0"}, Category: catRecords, Usage: "a job for each record that ends with NUL"},
		&cli.StringFlag{Name: "delimiter", Aliases: []string{"d"}, Category: catRecords, Usage: "a job for each record that ends with `DELIM`, which may have \\n, \\t, \\0, \\xHH, \\\\ in it"},
		cli.SizeFlag(0, cli.GenericFlag{Name: "block", Category: catRecords, Usage: "a job for each block of whole records with about `SIZE` bytes: 64K, 1M. A longer record is a block of its own"}),
		&cli.BoolFlag{Name: "csv", Category: catRecords, Usage: "records are rows of CSV, with newlines allowed in quotes. The first row is a header, put before the rows of each job"},
		&cli.BoolFlag{Name: "tsv", Category: catRecords, Usage: "like --csv, with tabs instead of commas"},
		&cli.IntFlag{Name: "header", Category: catRecords, Usage: "the first `N` records are a header, put before the records of each job"},
		&cli.BoolFlag{Name: "files", Category: catRecords, Usage: "a job for each file; their names are the arguments, or the lines of stdin, or with -0 its records"},
		&cli.StringFlag{Name: "end", Value: `\n`, Category: catRecords, Usage: "with -N, -0 and -d: text appended to each result that does not end with it; empty appends nothing"},
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: batch.DefaultWindow, Category: catRecords, Usage: "at most `N` jobs in flight"},
		cli.SizeFlag(batch.DefaultMemory, cli.GenericFlag{Name: "max-buffer", Category: catRecords, Usage: "read no more records while those in flight and the waiting results have `SIZE` bytes"}),

		&cli.BoolFlag{Name: "tag", Category: catResults, Usage: "print the record, or the name of its file, and a tab before each line of its result"},
		&cli.BoolFlag{Name: "line-buffer", Category: catResults, Usage: "print each line of a result when it is complete, even if its job goes on; the text of --tag and -P stands before it"},
		&cli.BoolFlag{Name: "prefix", Aliases: []string{"P"}, Category: catResults, Usage: "print the function and a colon before each line of a result"},
		&cli.StringFlag{Name: "out", Category: catResults, Usage: "write each result to a file `NAME`; in it, {} is the record or its file, {.} without its suffix, {/} without folders, {//} the folder, {/.} without folders and suffix, {#} its number"},
		&cli.BoolFlag{Name: "out-anywhere", Category: catResults, Usage: "allow records to lead --out out of the folder that NAME begins with, as ../x and /x do"},
		&cli.StringFlag{Name: "results", Category: catResults, Usage: "write each record to a folder `DIR`/NUMBER with the files stdout, stderr, exit and name"},

		&cli.StringFlag{Name: "joblog", Category: catJoblog, Usage: "log each record that has ended to `FILE` as a line of JSON"},
		&cli.BoolFlag{Name: "resume", Category: catJoblog, Usage: "leave out the records that --joblog has; the input must be the same. After a kill, output that it does not have is moved to FILE.cut, if stdout is a file"},
		&cli.BoolFlag{Name: "new-output", Category: catJoblog, Usage: "let --resume go on although the earlier results are not where they were; only new ones are printed"},
		&cli.BoolFlag{Name: "retry-failed", Category: catJoblog, Usage: "like --resume, and do the failed records again"},
		&cli.BoolFlag{Name: "dry-run", Category: catJoblog, Usage: "print the records that would be submitted: number, function, bytes, record or file, name of the output, error"},

		&cli.IntFlag{Name: "retries", Category: catFailures, Usage: "submit a job that failed or was lost again, up to `N` times; only for jobs that may run twice"},
		&cli.StringFlag{Name: "halt", Value: batch.Halt{}.String(), Category: catFailures, Usage: "`WHEN` failed records end the run: now,fail=1, or soon,fail=3 to wait for running jobs, or soon,fail=10%"},
		cli.DurationFlag(time.Minute, cli.GenericFlag{Name: "reconnect", Category: catFailures, Usage: "wait up to `TIME` for a server that has gone away or is shutting down; if given, also with one job and for the first server"}),
		&cli.BoolFlag{Name: "propagate", Category: catFailures, Usage: "exit with the exit code of the worker's command"},

		&cli.BoolFlag{Name: "bar", Category: catProgress, Usage: "draw a bar of the progress on stderr, if it is a terminal"},
		&cli.BoolFlag{Name: "eta", Category: catProgress, Usage: "show the number of records, the rate and the time left on stderr, if it is a terminal"},
		&cli.StringFlag{Name: "progress", Category: catProgress, Usage: "print the progress on stderr in `FORMAT` json, each second and at the end"},
	}
}

// orderFlags returns the flags of verbs that print results in the order of records.
func orderFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "unordered", Category: catResults, Usage: "print results as they arrive, each as a whole"},
	}
}

// newRecordRun reads taskFlags, recordFlags and connFlags. Each record goes through the
// functions in their order.
func (e *env) newRecordRun(c *cli.Context, functions ...string) (*recordRun, error) {
	opts, err := e.options(c)
	if err != nil {
		return nil, err
	}
	if opts.MaxPayload, err = payloadLimit(c); err != nil {
		return nil, err
	}
	s := &recordRun{
		env:      e,
		opts:     opts,
		terminal: cli.IsTerminal(e.Stderr),
		format:   cli.RowFormat(c.String("output")),
		bar:      c.Bool("bar"),
		eta:      c.Bool("eta"),
		dryRun:   c.Bool("dry-run"),
	}
	if err := s.setTasks(c, functions); err != nil {
		return nil, err
	}
	s.setConfig(c)
	if s.cfg.Batch.Halt, err = batch.ParseHalt(c.String("halt")); err != nil {
		return nil, cli.UsageErrorf("--%w", err)
	}
	if err := s.setResults(c); err != nil {
		return nil, err
	}
	return s, s.checkFlags(c)
}

// setTasks reads the settings that all jobs share.
func (s *recordRun) setTasks(c *cli.Context, functions []string) error {
	t := gearman.Task{Unique: c.String("unique"), Timeout: cli.DurationOf(c, "timeout")}
	switch high, low := c.Bool("high"), c.Bool("low"); {
	case high && low:
		return cli.UsageErrorf("--high cannot be used with --low")
	case high:
		t.Priority = gearman.High
	case low:
		t.Priority = gearman.Low
	}
	for _, f := range functions {
		if f == "" {
			return cli.WithHint(cli.UsageErrorf("%s: no function", c.Command.Name), "name it with -f FUNC")
		}
		t.Function = f
		s.tasks = append(s.tasks, t)
	}
	return nil
}

// setConfig reads the flags that need no check alone.
func (s *recordRun) setConfig(c *cli.Context) {
	s.cfg = records.Config{
		Batch: &batch.Batch{
			Window:      c.Int("jobs"),
			Memory:      int(cli.SizeOf(c, "max-buffer")),
			Retries:     c.Int("retries"),
			Unordered:   c.Bool("line-buffer"),
			Interleaved: c.Bool("line-buffer"),
		},
		Stdout:      s.Stdout,
		StdoutFile:  cli.FileOf(s.Stdout),
		Terminal:    cli.IsTerminal(s.Stdout),
		NoEnd:       c.IsSet("end"),
		OutAnywhere: c.Bool("out-anywhere"),
		Folder:      c.String("results"),
		Joblog: results.JoblogConfig{
			Path:        c.String("joblog"),
			Resume:      c.Bool("resume") || c.Bool("retry-failed"),
			RetryFailed: c.Bool("retry-failed"),
			NewOutput:   c.Bool("new-output"),
		},
		Status:     c.Bool("status"),
		Propagate:  c.Bool("propagate"),
		ExitCode:   exitCode,
		Note:       func(text string) { s.note("%s", text) },
		WorkerText: s.printWorkerText,
	}
}

// setResults reads the flags of the form of the results and of the progress.
func (s *recordRun) setResults(c *cli.Context) error {
	switch progress := c.String("progress"); {
	case progress != "" && progress != "json":
		return cli.UsageErrorf("--progress %q: must be json", progress)
	case progress != "" && (s.bar || s.eta):
		return cli.UsageErrorf("--progress cannot be used with --bar and --eta")
	case progress != "":
		s.cfg.Progress.JSON = s.Stderr
	}
	switch {
	case s.format == cli.FormatJSON:
		s.cfg.Form = records.FormJSON
	case s.format == cli.FormatJSONL:
		s.cfg.Form = records.FormJSONLines
	case s.format != "":
		return cli.UsageErrorf("output format %q: must be json or jsonl", s.format)
	case c.Bool("line-buffer"):
		s.cfg.Form = records.FormLines
	}
	if c.IsSet("out") {
		var err error
		if s.cfg.Out, err = results.ParseTemplate(c.String("out")); err != nil {
			return cli.WithHint(cli.UsageErrorf("--out %w", err), "it needs {}, {.}, {/}, {/.} or {#} in it, as in {.}.png")
		}
	}
	function := ""
	if c.Bool("prefix") {
		function = s.tasks[len(s.tasks)-1].Function + ": "
	}
	switch {
	case c.Bool("tag"):
		s.cfg.LinePrefix = func(label string) string { return cli.EscapeTSV(label) + "\t" + function }
	case function != "":
		s.cfg.LinePrefix = func(string) string { return function }
	}
	return nil
}

// checkFlags refuses wrong values, and flags that exclude each other.
func (s *recordRun) checkFlags(c *cli.Context) error {
	forms := 0
	for _, set := range []bool{s.format != "", c.IsSet("out"), c.IsSet("results"), s.cfg.LinePrefix != nil} {
		if set {
			forms++
		}
	}
	lines := c.Bool("line-buffer")
	switch b, log := s.cfg.Batch, &s.cfg.Joblog; {
	case b.Window < 1:
		return cli.UsageErrorf("--jobs %d: must be greater than 0", b.Window)
	case b.Memory < 1:
		return cli.UsageErrorf("--max-buffer %d: must be greater than 0", b.Memory)
	case b.Retries < 0:
		return cli.UsageErrorf("--retries %d: must not be negative", b.Retries)
	case forms > 1 && !s.dryRun:
		return cli.UsageErrorf("-o, --out, --results, and --tag or -P cannot be used together")
	case c.IsSet("results") && s.cfg.Folder == "":
		return cli.UsageErrorf("--results needs a name")
	case c.IsSet("joblog") && log.Path == "":
		return cli.UsageErrorf("--joblog needs a name")
	case log.Resume && log.Path == "":
		return cli.UsageErrorf("--resume and --retry-failed need --joblog")
	case lines && (s.format != "" || c.IsSet("out") || c.IsSet("results")):
		return cli.UsageErrorf("--line-buffer cannot be used with -o, --out and --results")
	case lines && log.Path != "":
		return cli.UsageErrorf("--line-buffer cannot be used with --joblog, which needs each result in one piece")
	case lines && (c.Bool("keep-order") || b.Retries > 0):
		return cli.UsageErrorf("--line-buffer cannot be used with -k and --retries")
	case log.NewOutput && !log.Resume:
		return cli.UsageErrorf("--new-output needs --resume")
	case s.cfg.OutAnywhere && !c.IsSet("out"):
		return cli.UsageErrorf("--out-anywhere needs --out")
	case log.Resume && s.format == cli.FormatJSON && !s.dryRun:
		return cli.WithHint(cli.UsageErrorf("--resume cannot be used with -o json, whose array has one end"), "use -o jsonl")
	}
	return nil
}

// setInput sets the records: args, one record each, or stdin. Stdin is one record,
// unless flags describe how to cut it, or byLine is set and each line is a record.
func (s *recordRun) setInput(c *cli.Context, args []string, byLine bool) error {
	how, cuts, err := cutOf(c)
	if err != nil {
		return err
	}
	files, limit := c.Bool("files"), s.opts.MaxPayload
	strips := !files && !how.Blocks && !how.Keep && (cuts || byLine)
	switch {
	case how.Size > limit:
		return cli.UsageErrorf("--block %d: exceeds --max-payload, %d bytes", how.Size, limit)
	case files && how.Blocks:
		return cli.UsageErrorf("--files cannot be used with flags that cut stdin into blocks")
	case len(args) > 0 && cuts:
		return cli.WithHint(cli.UsageErrorf("argument %q: records are read from stdin", args[0]),
			"several arguments without -n, -N, -0 or -d are a job each")
	case c.IsSet("end") && !strips:
		return cli.UsageErrorf("--end needs -N, -0 or -d")
	case strips:
		if s.cfg.End, err = escape.Decode(c.String("end")); err != nil {
			return cli.UsageErrorf("--end: %w", err)
		}
	}
	switch {
	case files && len(args) > 0:
		s.cfg.OutAnywhere = true // the user has named the folders
		s.cfg.Input = records.Files(args, limit)
	case files:
		s.announceStdin("the names of the files")
		s.cfg.Input = records.FilesNamedBy(s.Stdin, how.Delim, limit)
	case len(args) > 0:
		s.cfg.Input = records.Arguments(args)
	case cuts || byLine:
		s.announceStdin("the records")
		s.cfg.Input = records.Stream(s.Stdin, how, limit)
	default:
		s.announceStdin("the payload")
		s.cfg.Input = records.Whole(s.Stdin, "stdin", limit)
	}
	return s.setPatience(c)
}

// setPatience reads the flags whose meaning depends on the number of records.
func (s *recordRun) setPatience(c *cli.Context) error {
	b := s.cfg.Batch
	b.WaitFirst = c.IsSet("reconnect")
	if s.cfg.Input.Many || b.WaitFirst {
		b.Patience = cli.DurationOf(c, "reconnect")
	}
	if s.terminal && !s.tasks[0].Background {
		s.cfg.OnSilence = s.noteMissingWorkers
	}
	if !s.cfg.Input.Many {
		return nil
	}
	s.opts.Spread = true
	if u := s.tasks[0].Unique; u != "" && u != "-" && u != "#" {
		return cli.WithHint(cli.UsageErrorf("--unique %q: all records would be one job", u), "-u - makes records of the same payload one job")
	}
	return nil
}

// announceStdin notes that gm waits for input, if stdin is a terminal.
func (e *env) announceStdin(input string) {
	if cli.IsTerminal(e.Stdin) {
		e.note("reading %s from the terminal; Ctrl-D ends it", input)
	}
}

// cutOf reads the flags that describe how stdin is cut into records. cuts reports
// whether there is one.
func cutOf(c *cli.Context) (how records.Cut, cuts bool, err error) {
	n := 0
	for _, set := range []bool{c.Bool("each-line"), c.Bool("stripped"), c.Bool("null"), c.IsSet("delimiter")} {
		if set {
			n++
		}
	}
	how.Delim, how.Keep = []byte("\n"), c.Bool("each-line")
	switch {
	case n > 1:
		return how, false, cli.UsageErrorf("-n, -N, -0 and -d cannot be used together")
	case c.Bool("null"):
		how.Delim = []byte{0}
	case c.IsSet("delimiter"):
		delim, err := escape.Decode(c.String("delimiter"))
		if err == nil && delim == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			return how, false, cli.UsageErrorf("--delimiter: %w", err)
		}
		how.Delim = []byte(delim)
	}
	err = setBlocks(&how, c)
	return how, n > 0 || how.Blocks, err
}

// setBlocks reads the flags that describe how records are put together.
func setBlocks(how *records.Cut, c *cli.Context) error {
	csv, tsv := c.Bool("csv"), c.Bool("tsv")
	how.Size = int(cli.SizeOf(c, "block"))
	how.Records = c.Int("lines")
	how.Header = c.Int("header")
	how.Blocks = csv || tsv || c.IsSet("block") || c.IsSet("lines") || c.IsSet("header")
	switch {
	case csv && tsv:
		return cli.UsageErrorf("--csv cannot be used with --tsv")
	case csv:
		how.Comma = ','
	case tsv:
		how.Comma = '\t'
	}
	if how.Comma != 0 && !c.IsSet("header") {
		how.Header = 1
	}
	switch {
	case c.IsSet("block") && how.Size < 1:
		return cli.UsageErrorf("--block 0: must be greater than 0")
	case c.IsSet("lines") && how.Records < 1:
		return cli.WithHint(cli.UsageErrorf("--lines %d: must be greater than 0", how.Records), "-n makes each line a job")
	case how.Header < 0:
		return cli.UsageErrorf("--header %d: must not be negative", how.Header)
	case how.Blocks && c.Bool("stripped"):
		return cli.WithHint(cli.UsageErrorf("-N cannot be used with --block, --lines, --header, --csv and --tsv, whose lines keep their newlines"), "use -n, or neither")
	case how.Comma != 0 && string(how.Delim) != "\n":
		return cli.UsageErrorf("--csv and --tsv cannot be used with -0 and -d: newlines separate the rows")
	}
	return nil
}
