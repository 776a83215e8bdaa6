package cmd

import (
	"slices"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/batch"
	"gm/pkg/gearman"
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
const recordDescription = `
At a terminal, the first Ctrl-C stops the sending of records and waits for the
running jobs, and a second one ends the run. Elsewhere the first signal ends it. If
no worker can do a function, gm says so after two seconds.

Only one record fails if it is larger than --max-payload, if its file cannot be
read or written, or if a part of its result is over --max-payload. The others go on.

--joblog has a line of JSON for each record that has ended: seq, name, unique,
handle, server, function, start, end, in and out (bytes), attempts, exit, error,
hash (of the record) and, if stdout is a file, offset, the end of the record's
output in it. A line with seq 0 marks the beginning of a run or, with ended, its
end. With --resume the run goes on after an interruption of any kind: it leaves out
the records of the log, unless they were lost with their server. It moves output
without a line, which a killed run has left, to the log's name and .cut, so that the
output has each record once. Append to it with >>. Neither file is synced to disk.
--resume is refused if the earlier output is not where it was (emptied by a > for
>>, removed, shorter, a pipe now), unless --new-output allows that. A file that is
not a joblog is refused and left unchanged, and so is a joblog without --resume. On
a full disk the run ends with 74, and the joblog has the records whose output is
complete.

The file of a record (--out) must be in the folder that NAME begins with: ../x, /x
and links that lead out of it are refused, unless --out-anywhere is given. Files
that are named as arguments may have their output in their own folders.

--propagate exits with the exit code of the worker's command. gm work sends it in
the last line of the warning or exception before a failure, as in "gm-exit: 3 (exit
status 3)"; a failed job of other workers exits with 1. A command that signal n
ended has 128+n, one that exceeded its time limit 124. Of many jobs, the first that
failed counts.

The fields of -o json: seq, name, handle, function, unique, state (completed,
queued, failed, exception, lost, timeout or error), exit (the exit code of the
worker's command, if it was reported), data (or data_base64 if it is not UTF-8),
warnings, exception, error, attempts, started and ended (RFC 3339), ms. One DATA
gives one object, many records give an array; -o jsonl gives an object per line.

The fields of --progress json: time, elapsed_s, total (null until it is known), read,
skipped (by --resume), done, failed, running, waiting (for an older record),
held_bytes, per_s (in the last ten seconds), part (0 to 1), eta_s.
`

// recordExits are the exit codes of the verbs.
var recordExits = []int{cli.ExitFailed, cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitRefused, cli.ExitTimeout, cli.ExitSignal}

// recordVerbFlags returns all flags of a verb, of which own are its own.
func (e *env) recordVerbFlags(own []cli.Flag) []cli.Flag {
	return slices.Concat(own, taskFlags(), recordFlags(), e.connFlags(), []cli.Flag{payloadFlag()})
}

// functionsFlag returns a repeatable flag -f, which wordsOf reads.
func functionsFlag(usage string) cli.Flag {
	return &cli.GenericFlag{Name: "function", Aliases: []string{"f"}, Value: &wordsValue{}, Usage: usage}
}

// wordsValue is the value of a flag that may be repeated. A comma is a part of a
// word.
type wordsValue []string

// Set adds a word. It ignores an empty one, because urfave/cli sets the other names
// of a flag to the result of String.
func (v *wordsValue) Set(s string) error {
	if s != "" {
		*v = append(*v, s)
	}
	return nil
}

// String returns nothing: there is no default.
func (v *wordsValue) String() string { return "" }

// wordsOf returns the values of a flag, each once.
func wordsOf(c *cli.Context, name string) []string {
	var words []string
	for _, w := range *c.Generic(name).(*wordsValue) {
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words
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
		&cli.BoolFlag{Name: "tsv", Category: catRecords, Usage: "the same with tabs instead of commas"},
		&cli.IntFlag{Name: "header", Category: catRecords, Usage: "the first `N` records are a header, put before the records of each job"},
		&cli.BoolFlag{Name: "files", Category: catRecords, Usage: "a job for each file; the arguments are their names, or the lines of stdin, or its records with -0"},
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
		cli.DurationFlag(reconnectPatience, cli.GenericFlag{Name: "reconnect", Category: catFailures, Usage: "wait up to `TIME` for a server that has gone away or is shutting down; if given, also with one job and for the first server"}),
		&cli.BoolFlag{Name: "propagate", Category: catFailures, Usage: "exit with the exit code of the worker's command"},

		&cli.BoolFlag{Name: "bar", Category: catProgress, Usage: "draw a bar of the progress on stderr, if it is a terminal"},
		&cli.BoolFlag{Name: "eta", Category: catProgress, Usage: "show the number of records, the rate and the time left on stderr, if it is a terminal"},
		&cli.StringFlag{Name: "progress", Category: catProgress, Usage: "print the progress on stderr in `FORMAT` json, each second and at the end"},
	}
}

// newRecordRun reads taskFlags, recordFlags and connFlags. Each record goes through
// the functions in their order.
func (e *env) newRecordRun(c *cli.Context, functions ...string) (*recordRun, error) {
	opts, err := e.options(c)
	if err != nil {
		return nil, err
	}
	if opts.MaxPayload, err = payloadLimit(c); err != nil {
		return nil, err
	}
	s := &recordRun{
		env:         e,
		terminal:    cli.IsTerminal(e.Stderr),
		toTerminal:  cli.IsTerminal(e.Stdout),
		opts:        opts,
		window:      c.Int("jobs"),
		memory:      int(cli.SizeOf(c, "max-buffer")),
		retries:     c.Int("retries"),
		status:      c.Bool("status"),
		propagate:   c.Bool("propagate"),
		format:      cli.RowFormat(c.String("output")),
		tag:         c.Bool("tag"),
		functions:   c.Bool("prefix"),
		lineBuffer:  c.Bool("line-buffer"),
		results:     c.String("results"),
		anywhere:    c.Bool("out-anywhere"),
		joblog:      c.String("joblog"),
		newOutput:   c.Bool("new-output"),
		resume:      c.Bool("resume") || c.Bool("retry-failed"),
		retryFailed: c.Bool("retry-failed"),
		dryRun:      c.Bool("dry-run"),
	}
	if s.halt, err = batch.ParseHalt(c.String("halt")); err != nil {
		return nil, cli.UsageErrorf("--%w", err)
	}
	if s.progress, err = newProgressOptions(c); err != nil {
		return nil, err
	}
	if err := s.setTasks(c, functions); err != nil {
		return nil, err
	}
	if err := s.checkFlags(c); err != nil {
		return nil, err
	}
	return s, nil
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

// checkFlags refuses wrong values, and flags that exclude each other.
func (s *recordRun) checkFlags(c *cli.Context) error {
	places := 0
	for _, set := range []bool{s.format != "", c.IsSet("out"), c.IsSet("results"), s.tag || s.functions} {
		if set {
			places++
		}
	}
	switch {
	case s.window < 1:
		return cli.UsageErrorf("--jobs %d: must be greater than 0", s.window)
	case s.memory < 1:
		return cli.UsageErrorf("--max-buffer %d: must be greater than 0", s.memory)
	case s.retries < 0:
		return cli.UsageErrorf("--retries %d: must not be negative", s.retries)
	case s.format != "" && s.format != cli.FormatJSON && s.format != cli.FormatJSONL:
		return cli.UsageErrorf("output format %q: not json or jsonl", s.format)
	case places > 1 && !s.dryRun:
		return cli.UsageErrorf("-o, --out, --results, and --tag or -P cannot be used together")
	case c.IsSet("results") && s.results == "":
		return cli.UsageErrorf("--results needs a name")
	case c.IsSet("joblog") && s.joblog == "":
		return cli.UsageErrorf("--joblog needs a name")
	case s.resume && s.joblog == "":
		return cli.UsageErrorf("--resume and --retry-failed need --joblog")
	case s.lineBuffer && (s.format != "" || c.IsSet("out") || c.IsSet("results")):
		return cli.UsageErrorf("--line-buffer cannot be used with -o, --out and --results")
	case s.lineBuffer && s.joblog != "":
		return cli.UsageErrorf("--line-buffer cannot be used with --joblog, which needs each result in one piece")
	case s.lineBuffer && (c.Bool("keep-order") || s.retries > 0):
		return cli.UsageErrorf("--line-buffer cannot be used with -k and --retries")
	case s.newOutput && !s.resume:
		return cli.UsageErrorf("--new-output needs --resume")
	case s.anywhere && !c.IsSet("out"):
		return cli.UsageErrorf("--out-anywhere needs --out")
	case s.resume && s.format == cli.FormatJSON && !s.dryRun:
		return cli.WithHint(cli.UsageErrorf("--resume cannot be used with -o json, whose array has one end"), "use -o jsonl")
	}
	s.unordered = s.lineBuffer
	if c.IsSet("out") {
		var err error
		if s.out, err = results.ParseTemplate(c.String("out")); err != nil {
			return cli.WithHint(cli.UsageErrorf("--out %w", err), "it needs {}, {.}, {/}, {/.} or {#} in it, as in {.}.png")
		}
	}
	return nil
}

// setMany reads the flags of many records, once it is known whether there may be
// many.
func (s *recordRun) setMany(c *cli.Context) error {
	s.awaits = c.IsSet("reconnect")
	if s.many || s.awaits {
		s.patience = cli.DurationOf(c, "reconnect")
	}
	if !s.many {
		return nil
	}
	s.opts.Spread = true
	if u := s.tasks[0].Unique; u != "" && u != "-" && u != "#" {
		return cli.WithHint(cli.UsageErrorf("--unique %q: all records would be one job", u), "-u - makes records of the same payload one job")
	}
	return nil
}

// stageNames returns the names of the functions of all stages.
func stageNames(tasks []gearman.Task) string {
	var names []string
	for _, t := range tasks {
		names = append(names, t.Function)
	}
	return strings.Join(names, "|")
}
