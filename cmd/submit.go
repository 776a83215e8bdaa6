package cmd

import (
	"time"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
	"gm/pkg/results"
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
			Flags:       e.recordVerbFlags(submitFlags()),
			Action:      e.submit,
		},
		examples: []example{
			{"one job; its payload is the argument", "gm submit -f rev hello"},
			{"one job; its payload is all of stdin", "gm submit -f wc < /etc/passwd"},
			{"one job a line, results in the order of the lines", "head -3 /etc/passwd | gm submit -N -k -f rev"},
			{"one job a file name, NULs between them", "find /etc -maxdepth 1 -print0 | gm submit -0 -f rev"},
			{"a file each, results beside them", "gm submit --files -f wc --out '{/}.count' /etc/passwd /etc/group"},
			{"a log, so that it can be gone on with after anything", "seq 100 | gm submit -N -f rev --joblog rev.log --resume >> rev.out"},
			{"to the background: prints the handle, does not wait", "gm submit -b -f rev hello"},
			{"in ten minutes", "gm submit --in 10m -f rev hello"},
			{"for cron: at most one at a time, no output", "gm submit -b -q -u nightly -f backup now"},
			{"ask for an answer within two seconds", "gm submit -t 2s -f rev hello || echo \"exit code $?\""},
			{"whoever answers first", "gm submit --first -f rev -f wc hello"},
			{"all that is known about the job", "gm submit -o json -f rev hello"},
		},
		exits:      recordExits,
		dataArgs:   true,
		ownSignals: true,
	}
}

const submitDescription = `
Submits a job to the function -f and prints its result on stdout as it arrives.
The payload is DATA, or all of stdin if there is no DATA; several DATA are as many
jobs. With -n, -N, -0, -d, --block, --csv or --tsv each record of stdin is a job,
with --files each file. Up to -j of them are in flight at a time, spread over the
servers. Results are printed as they come, each whole; with -k in the order of the
records.

What the worker warns of goes to stderr as it comes, and so does the text of an
exception. The exit code tells how the job went; of many jobs, 75 if any was
lost, else what all that failed have in common, such as 124, else 1.

A job whose server was lost in mid-job may have run. It is submitted again only
if it has a unique (-u) and none of its result has been printed, or if --retries
allows it; with --retries a result is printed when its job has completed. With
many records, those that no server has taken yet wait for one to come back.

--at without a zone is local time. If clocks are set back and show it twice, the
second time is taken; if they are set forward past it, the time that they would
have shown without that. A job that is late by then runs at once, and gm says so.

--first submits one job to each function -f on each server, prints the first
result that is complete and leaves the others alone.
` + recordDescription

// submitFlags are the verb's own.
func submitFlags() []cli.Flag {
	const background = "Background"
	return []cli.Flag{
		functionsFlag("`FUNC` to submit to; several only with --first"),
		&cli.BoolFlag{Name: "first", Usage: "the same job to each function, on each server: the first that completes counts"},
		&cli.StringFlag{Name: "reducer", Usage: "function `FUNC` that the worker is to reduce with"},
		&cli.BoolFlag{Name: "keep-order", Aliases: []string{"k"}, Category: catResults, Usage: "print results in the order of the records"},

		&cli.BoolFlag{Name: "background", Aliases: []string{"b"}, Category: background, Usage: "print the handle and do not wait for the result"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: background, Usage: "do not print the handle"},
		&cli.StringFlag{Name: "in", Category: background, Usage: "run it after a `TIME` such as 90s, 10m or 24h; implies -b"},
		&cli.StringFlag{Name: "at", Category: background, Usage: "run it at `TIME`, never before: 15:04, \"2006-01-02 15:04\", RFC 3339, or @ and Unix seconds; implies -b"},
	}
}

// submit is the action of gm submit.
func (e *env) submit(c *cli.Context) error {
	functions := wordsOf(c, "function")
	first := c.Bool("first")
	if len(functions) > 1 && !first {
		return withHint(usageErrorf("submit: several functions"), "--first submits to all of them; gm pipe sends what one makes to the next")
	}
	s, err := e.newRecordRun(c, append(functions, make([]string, max(0, 1-len(functions)))...)...)
	if err != nil {
		return err
	}
	if err := s.submitTask(c); err != nil {
		return err
	}
	if err := s.setSource(c, c.Args().Slice(), false); err != nil {
		return err
	}
	s.unordered = s.many && !c.Bool("keep-order")
	if first {
		return heedSignals(c, s.runFirst)
	}
	return s.run(c)
}

// submitTask reads what only jobs of submit can have.
func (s *recordRun) submitTask(c *cli.Context) error {
	s.quiet = c.Bool("quiet")
	at, err := s.submitTime(c)
	if err != nil {
		return err
	}
	t := &s.tasks[0]
	t.Reducer = c.String("reducer")
	t.At = at
	t.Background = c.Bool("background") || !at.IsZero()
	switch {
	case !t.At.IsZero() && (t.Priority != gearman.Normal || t.Reducer != ""):
		return usageErrorf("a delayed job has normal priority and no reducer: the protocol has no packet for others")
	case t.Reducer != "" && t.Priority != gearman.Normal:
		return usageErrorf("a job with a reducer has normal priority: the protocol has no packet for others")
	case s.quiet && !t.Background:
		return usageErrorf("--quiet is for --background")
	case s.propagate && t.Background:
		return usageErrorf("--propagate: a background job's end is not waited for")
	case t.Background && (s.out != "" || s.results != ""):
		return usageErrorf("--out, --results: a background job's result is not waited for")
	case t.Background && c.Bool("first"):
		return usageErrorf("--first: a background job's end is not waited for")
	}
	return nil
}

// runFirst submits one job to each function on each server and prints the first
// result that is complete. It abandons the other jobs: a server forgets those
// that no worker has begun.
func (s *recordRun) runFirst(c *cli.Context) error {
	switch {
	case s.many:
		return usageErrorf("--first: one job only")
	case s.joblog != "" || s.dryRun:
		return usageErrorf("--first: no --joblog and no --dry-run")
	}
	in, err := s.source.Next()
	if err != nil {
		return err
	}
	var tries []results.Try
	for _, task := range s.tasks {
		task.Retries = s.retries
		for _, server := range s.opts.Servers {
			opts := s.opts
			opts.Servers = []gearman.Server{server}
			client, err := gearman.NewClient(opts)
			if err != nil {
				return usageErrorf("%w", err)
			}
			defer client.Close()
			tries = append(tries, results.Try{Client: client, Task: task, Server: server})
		}
	}
	if err := s.openOutput(); err != nil {
		return err
	}
	sink, err := s.newSink()
	if err != nil {
		return err
	}
	report, err := results.New(s.recorderConfig(sink)).RunFirst(c.Context, in, tries)
	if err != nil {
		return err
	}
	return s.verdict(report)
}
