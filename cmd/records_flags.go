package cmd

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// Categories of the flags of records.
const (
	catRecords  = "Records"
	catResults  = "Results"
	catJoblog   = "Joblog"
	catFailures = "Failures"
	catProgress = "Progress"
)

// recordDescription is what the verbs' descriptions end with.
const recordDescription = `
At a terminal, the first Ctrl-C ends the sending of records and waits for the jobs
that are running, a second one ends it all; elsewhere the first signal does. If no
worker can do a function, gm says so after two seconds.

A record that is larger than --max-payload, a file that cannot be read or written,
and a result with a part over --max-payload fail that record alone: the next one
goes on.

--joblog has a line of JSON for each record that has ended: seq, name, unique,
handle, server, function, start, end, in and out (bytes), attempts, exit, error,
hash (of the record) and, if stdout is a file, offset, where the record's output
ends in it. A line with seq 0 is where a run begins or, with ended, comes to its
end. With --resume the run goes on after an end of any kind: what the log has is
left out, unless it was lost with its server, and what a run that was killed has
left in the output without a line is moved to the log's name and .cut, so that the
output has each record once. Append to it with >>. Neither is synced to disk. If
the output so far is not where it was (emptied by a > for >>, removed, shorter, a
pipe now) --resume is refused, unless --new-output says that this is meant. A file
that is no joblog is refused and left as it is, and so is a joblog without --resume.
On a full disk the run ends with 74, and the joblog has what is whole in the output.

A record that names its file (--out) stays in the folder that NAME begins with:
../x, /x and links that lead out of it are refused, unless --out-anywhere is given.
Files that are named as arguments may have their output beside them.

--propagate exits with the code of the worker's own command. gm work says it in
the last line of the warning or exception that goes before a failure, as in
"gm-exit: 3 (exit status 3)"; from other workers, a failed job exits with 1. A
command ended by signal n has 128+n, one that was too late 124. Of many jobs,
the first that failed counts.

The fields of -o json: seq, name, handle, function, unique, state (completed,
queued, failed, exception, lost, timeout or error), exit (the worker's command's
code, if it said one), data (or data_base64 if it is not UTF-8), warnings,
exception, error, attempts, started and ended (RFC 3339), ms. One DATA gives one
object, many records give an array; -o jsonl gives an object a line.

Those of --progress json: time, elapsed_s, total (null until it is known), read,
skipped (by --resume), done, failed, running, waiting (for an older record),
held_bytes, per_s (lately), part (0 to 1), eta_s.
`

// recordExits are the codes that the verbs can end with.
var recordExits = []int{exitFailed, exitUnknown, exitNoServer, exitIO, exitAgain, exitProtocol, exitRefused, exitTimeout, exitSignal}

// recordVerbFlags are all flags of a verb that has some of its own.
func (e *env) recordVerbFlags(own []cli.Flag) []cli.Flag {
	return slices.Concat(own, taskFlags(), recordFlags(), e.connFlags(), []cli.Flag{payloadFlag()})
}

// functionsFlag returns a repeatable flag -f; wordsOf reads it.
func functionsFlag(usage string) cli.Flag {
	return &cli.GenericFlag{Name: "function", Aliases: []string{"f"}, Value: &wordsValue{}, Usage: usage}
}

// wordsValue is the value of a flag that may be repeated, commas and all.
type wordsValue []string

// Set adds a word. urfave/cli sets a flag's other names to String's.
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

// taskFlags say how each job is to be done.
func taskFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "unique", Aliases: []string{"u"}, Usage: "jobs of the same function and `KEY` are one job while it is queued or running; - is the payload, # a hash of it"},
		&cli.BoolFlag{Name: "high", Aliases: []string{"I"}, Usage: "high priority"},
		&cli.BoolFlag{Name: "low", Aliases: []string{"L"}, Usage: "low priority"},
		durationFlag(0, cli.GenericFlag{Name: "timeout", Aliases: []string{"t"}, Usage: "give a job up that has not ended after `TIME`; the exit code is 124. A bare number is in milliseconds"}),
		&cli.BoolFlag{Name: "require-worker", Usage: "if no worker can do the function, exit with 3 instead of waiting for one"},
		&cli.BoolFlag{Name: "status", Usage: "print the workers' progress on stderr"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Category: catOutput, Usage: "`FORMAT` json or jsonl: print what became of each job; else its result as it is"},
	}
}

// recordFlags say what the records are, and what becomes of them.
func recordFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "each-line", Aliases: []string{"n"}, Category: catRecords, Usage: "a job for each line of stdin, with its newline"},
		&cli.IntFlag{Name: "lines", Category: catRecords, Usage: "a job for `N` lines, or records that -0, -d, --csv or --tsv says, with their ends"},
		&cli.BoolFlag{Name: "stripped", Aliases: []string{"N"}, Category: catRecords, Usage: "a job for each line, without its newline"},
		&cli.BoolFlag{Name: "null", Aliases: []string{"0"}, Category: catRecords, Usage: "a job for each record that a NUL ends"},
		&cli.StringFlag{Name: "delimiter", Aliases: []string{"d"}, Category: catRecords, Usage: "a job for each record that `DELIM` ends; it may have \\n, \\t, \\0, \\xHH, \\\\"},
		sizeFlag(0, cli.GenericFlag{Name: "block", Category: catRecords, Usage: "a job for each block of about `SIZE` bytes that ends with a record: 64K, 1M. A longer record is a block of its own"}),
		&cli.BoolFlag{Name: "csv", Category: catRecords, Usage: "records are rows of CSV: a newline in quotes ends none. The first row is a header, put before each job's rows"},
		&cli.BoolFlag{Name: "tsv", Category: catRecords, Usage: "the same with tabs for commas"},
		&cli.IntFlag{Name: "header", Category: catRecords, Usage: "the first `N` records are a header, put before each job's records"},
		&cli.BoolFlag{Name: "files", Category: catRecords, Usage: "a job for each file; the arguments are their names, or the lines of stdin, or with -0 what NULs end there"},
		&cli.StringFlag{Name: "end", Value: `\n`, Category: catRecords, Usage: "with -N, -0 and -d: what a result must end with, added where it is lacking; empty adds nothing"},
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: batch.DefaultWindow, Category: catRecords, Usage: "at most `N` jobs in flight"},
		sizeFlag(batch.DefaultMemory, cli.GenericFlag{Name: "max-buffer", Category: catRecords, Usage: "records in flight and results that wait may have `SIZE` bytes; then no more are read"}),

		&cli.BoolFlag{Name: "tag", Category: catResults, Usage: "print the record, or its file's name, and a tab before each line of its result"},
		&cli.BoolFlag{Name: "line-buffer", Category: catResults, Usage: "print each line of a result as it comes, whole, though its job goes on; with --tag or -P they stand before it"},
		&cli.BoolFlag{Name: "prefix", Aliases: []string{"P"}, Category: catResults, Usage: "print the function and a colon before each line of a result"},
		&cli.StringFlag{Name: "out", Category: catResults, Usage: "write each result to a file `NAME`; in it, {} is the record or its file, {.} without its suffix, {/} without folders, {//} the folder, {/.} without either, {#} its number"},
		&cli.BoolFlag{Name: "out-anywhere", Category: catResults, Usage: "a record may lead --out out of the folder that NAME begins with, as ../x and /x do"},
		&cli.StringFlag{Name: "results", Category: catResults, Usage: "write what comes of each record to a folder `DIR`/NUMBER: stdout, stderr, exit and name"},

		&cli.StringFlag{Name: "joblog", Category: catJoblog, Usage: "log each record that has ended to `FILE`, a line of JSON each"},
		&cli.BoolFlag{Name: "resume", Category: catJoblog, Usage: "leave out what --joblog has; its input must be the same. After a kill, output that it does not have is moved to FILE.cut, if stdout is a file"},
		&cli.BoolFlag{Name: "new-output", Category: catJoblog, Usage: "--resume goes on although the results so far are not where they were: only those to come are printed"},
		&cli.BoolFlag{Name: "retry-failed", Category: catJoblog, Usage: "--resume, and do those again that failed"},
		&cli.BoolFlag{Name: "dry-run", Category: catJoblog, Usage: "print what would be submitted: number, function, bytes, record or file, name of the output, what is wrong with it"},

		&cli.IntFlag{Name: "retries", Category: catFailures, Usage: "submit a job that failed or was lost again, up to `N` times; only for what may run twice"},
		&cli.StringFlag{Name: "halt", Value: batch.Halt{}.String(), Category: catFailures, Usage: "`WHEN` failed records end it all: now,fail=1, or soon,fail=3 to wait for what runs, or soon,fail=10%"},
		durationFlag(reconnectPatience, cli.GenericFlag{Name: "reconnect", Category: catFailures, Usage: "wait up to `TIME` for a server that has gone away or is shutting down; given, it holds for one job and for the first server, too"}),
		&cli.BoolFlag{Name: "propagate", Category: catFailures, Usage: "exit with the code of the worker's command"},

		&cli.BoolFlag{Name: "bar", Category: catProgress, Usage: "show on stderr, if it is a terminal, how far it has come"},
		&cli.BoolFlag{Name: "eta", Category: catProgress, Usage: "the same in words: how many, how fast, how long still"},
		&cli.StringFlag{Name: "progress", Category: catProgress, Usage: "`FORMAT` json: a line on stderr each second and at the end"},
	}
}

// newRecordRun reads taskFlags, recordFlags and connFlags, for the functions
// that each record goes through.
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
		terminal:    isTerminal(e.stderr),
		toTerminal:  isTerminal(e.stdout),
		opts:        opts,
		window:      c.Int("jobs"),
		memory:      int(sizeOf(c, "max-buffer")),
		retries:     c.Int("retries"),
		status:      c.Bool("status"),
		propagate:   c.Bool("propagate"),
		format:      rowFormat(c.String("output")),
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
		return nil, usageErrorf("--%w", err)
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

// setTasks reads what the jobs of each function have in common.
func (s *recordRun) setTasks(c *cli.Context, functions []string) error {
	t := gearman.Task{Unique: c.String("unique"), Timeout: durationOf(c, "timeout")}
	switch high, low := c.Bool("high"), c.Bool("low"); {
	case high && low:
		return usageErrorf("--high and --low: one of them")
	case high:
		t.Priority = gearman.High
	case low:
		t.Priority = gearman.Low
	}
	for _, f := range functions {
		if f == "" {
			return withHint(usageErrorf("%s: no function", c.Command.Name), "name it with -f FUNC")
		}
		t.Function = f
		s.tasks = append(s.tasks, t)
	}
	return nil
}

// checkFlags finds what the flags have wrong, or have wrong together.
func (s *recordRun) checkFlags(c *cli.Context) error {
	places := 0
	for _, set := range []bool{s.format != "", c.IsSet("out"), c.IsSet("results"), s.tag || s.functions} {
		if set {
			places++
		}
	}
	switch {
	case s.window < 1:
		return usageErrorf("--jobs %d: not a positive number", s.window)
	case s.memory < 1:
		return usageErrorf("--max-buffer %d: not a positive number", s.memory)
	case s.retries < 0:
		return usageErrorf("--retries %d: less than none", s.retries)
	case s.format != "" && s.format != formatJSON && s.format != formatJSONL:
		return usageErrorf("output format %q: not json or jsonl", s.format)
	case places > 1 && !s.dryRun:
		return usageErrorf("-o, --out, --results and --tag or -P: one of them")
	case c.IsSet("results") && s.results == "":
		return usageErrorf("--results: no name")
	case c.IsSet("joblog") && s.joblog == "":
		return usageErrorf("--joblog: no name")
	case s.resume && s.joblog == "":
		return usageErrorf("--resume and --retry-failed go on with a --joblog, and there is none")
	case s.lineBuffer && (s.format != "" || c.IsSet("out") || c.IsSet("results")):
		return usageErrorf("--line-buffer is for results on stdout, as they are")
	case s.lineBuffer && s.joblog != "":
		return usageErrorf("--line-buffer mixes the lines of records, and --joblog needs each result in one piece")
	case s.lineBuffer && (c.Bool("keep-order") || s.retries > 0):
		return usageErrorf("--line-buffer prints lines as they come, not with -k or --retries")
	case s.newOutput && !s.resume:
		return usageErrorf("--new-output is for --resume")
	case s.anywhere && !c.IsSet("out"):
		return usageErrorf("--out-anywhere is for --out")
	case s.resume && s.format == formatJSON && !s.dryRun:
		return withHint(usageErrorf("--resume: a JSON document has one end"), "-o jsonl can be gone on with")
	}
	s.unordered = s.lineBuffer
	if c.IsSet("out") {
		var err error
		if s.out, err = parseOutName(c.String("out")); err != nil {
			return err
		}
	}
	return nil
}

// setMany reads what is for many records only, once it is known whether there
// may be many.
func (s *recordRun) setMany(c *cli.Context) error {
	s.awaits = c.IsSet("reconnect")
	if s.many || s.awaits {
		s.patience = durationOf(c, "reconnect")
	}
	if !s.many {
		return nil
	}
	s.opts.Spread = true
	if u := s.tasks[0].Unique; u != "" && u != "-" && u != "#" {
		return withHint(usageErrorf("--unique %q: all records would be one job", u), "-u - makes records of the same payload one job")
	}
	return nil
}

// stageNames names the functions of all stages.
func stageNames(tasks []gearman.Task) string {
	var names []string
	for _, t := range tasks {
		names = append(names, t.Function)
	}
	return strings.Join(names, "|")
}
