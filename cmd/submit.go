package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/batch"
	"gm/pkg/gearman"
)

// reconnectPatience is how long many records wait for a server that has gone.
const reconnectPatience = time.Minute

func submitVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "submit",
			Usage:       "submit jobs and print their results",
			ArgsUsage:   "[DATA..]",
			Description: submitDescription,
			Flags:       append(append(submitFlags(), e.connFlags()...), payloadFlag()),
			Action:      e.submit,
		},
		examples: []example{
			{"one job; its payload is the argument", "gm submit -f rev hello"},
			{"one job; its payload is all of stdin", "gm submit -f wc < /etc/passwd"},
			{"one job a line, results in the order of the lines", "head -3 /etc/passwd | gm submit -N -f rev"},
			{"one job a file name, NULs between them", "find /etc -maxdepth 1 -print0 | gm submit -0 -f rev"},
			{"to the background: prints the handle, does not wait", "gm submit -b -f rev hello"},
			{"in ten minutes", "gm submit --in 10m -f rev hello"},
			{"for cron: at most one at a time, no output", "gm submit -b -q -u nightly -f backup now"},
			{"ask for an answer within two seconds", "gm submit -t 2s -f rev hello || echo \"exit code $?\""},
			{"all that is known about the job", "gm submit -o json -f rev hello"},
		},
		exits: []int{exitFailed, exitUnknown, exitNoServer, exitIO, exitAgain, exitProtocol, exitTimeout, exitSignal},
	}
}

const submitDescription = `
Submits a job to the function -f and prints its result on stdout as it arrives.
The payload is DATA, or all of stdin if there is no DATA; several DATA are as many
jobs. With -n, -N, -0 or -d each record of stdin is a job: up to -j of them are
in flight at a time, and results are printed in the order of the records.

What the worker warns of goes to stderr as it comes, and so does the text of an
exception. The exit code tells how the job went; of many jobs, 75 if any was
lost, 124 if all that failed were too late, else 1 if any failed.

A job whose server was lost in mid-job may have run. It is submitted again only
if it has a unique (-u) and none of its result has been printed, or if --retries
allows it; with --retries a result is printed when its job has completed. With
many records, those that no server has taken yet wait for one to come back.

--propagate exits with the code of the worker's own command. gm work says it in
the last line of the warning or exception that goes before a failure, as in
"gm-exit: 3 (exit status 3)"; from other workers, a failed job exits with 1. A
command ended by signal n has 128+n, one that was too late 124. Of many jobs,
the first that failed counts.

The fields of -o json: seq, handle, function, unique, state (completed, queued,
failed, exception, lost, timeout or error), exit (the worker's command's code,
if it said one), data (or data_base64 if it is not UTF-8), warnings, exception,
error, attempts, started and ended (RFC 3339), ms. One DATA gives one object,
many records give an array; -o jsonl gives an object a line.
`

func submitFlags() []cli.Flag {
	const records, retrying, background = "Records", "Failures", "Background"
	return []cli.Flag{
		&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "`FUNC` to submit to"},
		&cli.StringFlag{Name: "unique", Aliases: []string{"u"}, Usage: "jobs of the same function and `KEY` are one job while it is queued or running; - is the payload, # a hash of it"},
		&cli.BoolFlag{Name: "high", Aliases: []string{"I"}, Usage: "high priority"},
		&cli.BoolFlag{Name: "low", Aliases: []string{"L"}, Usage: "low priority"},
		durationFlag(0, cli.GenericFlag{Name: "timeout", Aliases: []string{"t"}, Usage: "give a job up that has not ended after `TIME`, and exit with 124; a bare number is in milliseconds"}),
		&cli.StringFlag{Name: "reducer", Usage: "function `FUNC` that the worker is to reduce with"},
		&cli.BoolFlag{Name: "require-worker", Usage: "if no worker can do the function, exit with 3 instead of waiting for one"},
		&cli.BoolFlag{Name: "status", Usage: "print the worker's progress on stderr"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Category: catOutput, Usage: "`FORMAT` json or jsonl: print what became of each job; else its result as it is"},

		&cli.BoolFlag{Name: "background", Aliases: []string{"b"}, Category: background, Usage: "print the handle and do not wait for the result"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: background, Usage: "do not print the handle"},
		&cli.StringFlag{Name: "in", Category: background, Usage: "run it after a `TIME` such as 90s, 10m or 24h; implies -b"},
		&cli.StringFlag{Name: "at", Category: background, Usage: "run it at `TIME`: 15:04, \"2006-01-02 15:04\", RFC 3339, or @ and Unix seconds; implies -b"},

		&cli.BoolFlag{Name: "lines", Aliases: []string{"n"}, Category: records, Usage: "a job for each line of stdin, with its newline"},
		&cli.BoolFlag{Name: "stripped", Aliases: []string{"N"}, Category: records, Usage: "a job for each line, without its newline"},
		&cli.BoolFlag{Name: "null", Aliases: []string{"0"}, Category: records, Usage: "a job for each record that a NUL ends"},
		&cli.StringFlag{Name: "delimiter", Aliases: []string{"d"}, Category: records, Usage: "a job for each record that `DELIM` ends; it may have \\n, \\t, \\0, \\xHH, \\\\"},
		&cli.StringFlag{Name: "end", Value: `\n`, Category: records, Usage: "with -N, -0 and -d: what a result is to end with; added where it is lacking"},
		&cli.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: batch.DefaultWindow, Category: records, Usage: "at most `N` jobs in flight"},

		&cli.IntFlag{Name: "retries", Category: retrying, Usage: "submit a job that failed or was lost again, up to `N` times; only for what may run twice"},
		durationFlag(reconnectPatience, cli.GenericFlag{Name: "reconnect", Category: retrying, Usage: "with many records: wait up to `TIME` for a server that has gone away"}),
		&cli.BoolFlag{Name: "propagate", Category: retrying, Usage: "exit with the code of the worker's command"},
	}
}

// submission is what the flags of submit ask for.
type submission struct {
	task      gearman.Task
	opts      gearman.Options
	source    batch.Source
	many      bool // several records, or possibly so
	window    int
	retries   int
	patience  time.Duration
	end       string // of results; empty: as they are
	quiet     bool
	status    bool
	propagate bool
	format    rowFormat // formatJSON, formatJSONL or none
}

func (e *env) submit(c *cli.Context) error {
	s, err := e.newSubmission(c)
	if err != nil {
		return err
	}
	if c.Bool("require-worker") {
		if err := e.requireWorker(c.Context, s.opts, s.task.Function); err != nil {
			return err
		}
	}
	client, err := gearman.NewClient(s.opts)
	if err != nil {
		return usageErrorf("%w", err)
	}
	defer client.Close()

	p := &submitPrinter{env: e, submission: s}
	b := &batch.Batch{
		Client:   client,
		Task:     s.task,
		Window:   s.window,
		Retries:  s.retries,
		Patience: s.patience,
		Data:     p.data,
		Done:     p.done,
		Warning:  p.warning,
		Retry:    p.retry,
		Away:     func(err error) { e.note("waiting for a server that takes jobs: %v", err) },
		Back:     func(away time.Duration) { e.note("a server takes jobs again after %v", away.Round(time.Millisecond)) },
	}
	if s.status {
		b.Status = p.progress
	}
	sum, err := b.Run(c.Context, s.source)
	if closeErr := p.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return submitError(s, sum, err)
	}
	return p.verdict(sum)
}

// submitError describes the early end of a submission.
func submitError(s *submission, sum batch.Summary, err error) error {
	var out *outputError
	if !s.many || sum.Records == 0 || errors.As(err, &out) {
		return err
	}
	return fmt.Errorf("after %d records: %w", sum.Records, err)
}
