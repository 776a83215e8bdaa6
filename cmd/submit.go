package cmd

import (
	_ "embed" // for the description
	"time"

	"gm/cmd/cli"
	"gm/internal/duration"
	"gm/internal/walltime"
	"gm/pkg/gearman"
)

func submitVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:        "submit",
			Usage:       "submit jobs and print their results",
			ArgsUsage:   "[DATA..]",
			Description: submitDescription + "\n" + recordDescription,
			Flags:       e.recordVerbFlags(submitFlags()),
			Action:      e.submitRecords,
		},
		Examples: []cli.Example{
			{What: "one job; its payload is the argument", Line: "gm submit -f rev hello"},
			{What: "one job; its payload is all of stdin", Line: "gm submit -f wc < /etc/passwd"},
			{What: "one job for each line, results in the order of the lines", Line: "head -3 /etc/passwd | gm submit -N -k -f rev"},
			{What: "one job for each file name, NULs between them", Line: "find /etc -maxdepth 1 -print0 | gm submit -0 -f rev"},
			{What: "one job for each file, results next to the files", Line: "gm submit --files -f wc --out '{/}.count' /etc/passwd /etc/group"},
			{What: "a log, with which an interrupted run is resumed", Line: "seq 100 | gm submit -N -f rev --joblog rev.log --resume >> rev.out"},
			{What: "in the background: print the handle and do not wait", Line: "gm submit -b -f rev hello"},
			{What: "in ten minutes", Line: "gm submit --in 10m -f rev hello"},
			{What: "for cron: at most one at a time, no output", Line: "gm submit -b -q -u nightly -f backup now"},
			{What: "wait for the result for at most two seconds", Line: "gm submit -t 2s -f rev hello || echo \"exit code $?\""},
			{What: "the first of two functions to answer", Line: "gm submit --first -f rev -f wc hello"},
			{What: "the result and the details of the job", Line: "gm submit -o json -f rev hello"},
		},
		Exits:      recordExits,
		DataArgs:   true,
		OwnSignals: true,
	}
}

// submitDescription is the description of gm submit.
//
//go:embed help/submit.txt
var submitDescription string

// submitFlags returns the flags that only this verb has.
func submitFlags() []cli.Flag {
	const background = "Background"
	return []cli.Flag{
		cli.WordsFlag(cli.GenericFlag{Name: "function", Aliases: []string{"f"}, Usage: "submit to the function `FUNC`; repeatable with --first"}),
		&cli.BoolFlag{Name: "first", Usage: "submit the job to each function on each server; the first result counts"},
		&cli.StringFlag{Name: "reducer", Usage: "let the worker reduce with the function `FUNC`"},
		&cli.BoolFlag{Name: "keep-order", Aliases: []string{"k"}, Category: catResults, Usage: "print results in the order of the records"},

		&cli.BoolFlag{Name: "background", Aliases: []string{"b"}, Category: background, Usage: "print the handle and do not wait for the result"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Category: background, Usage: "do not print the handle"},
		&cli.StringFlag{Name: "in", Category: background, Usage: "run the job after `TIME`, such as 90s, 10m or 24h; implies -b"},
		&cli.StringFlag{Name: "at", Category: background, Usage: "run the job at `TIME`, never before: 15:04, \"2006-01-02 15:04\", RFC 3339, or @ and Unix seconds; implies -b"},
	}
}

// submitRecords is the action of gm submit.
func (e *env) submitRecords(c *cli.Context) error {
	functions := cli.WordsOf(c, "function")
	first := c.Bool("first")
	if len(functions) > 1 && !first {
		return cli.WithHint(cli.UsageErrorf("submit: several functions"), "--first submits to all of them; gm pipe sends each result to the next function")
	}
	s, err := e.newRecordRun(c, append(functions, make([]string, max(0, 1-len(functions)))...)...)
	if err != nil {
		return err
	}
	if err := s.submitTask(c); err != nil {
		return err
	}
	if err := s.setInput(c, c.Args().Slice(), false); err != nil {
		return err
	}
	s.cfg.Batch.Unordered = s.cfg.Input.Many && !c.Bool("keep-order")
	if first {
		return cli.HeedSignals(c, s.runFirst)
	}
	return s.runRecords(c)
}

// submitTask reads the flags of a job that only gm submit has.
func (s *recordRun) submitTask(c *cli.Context) error {
	s.cfg.NoHandles = c.Bool("quiet")
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
		return cli.UsageErrorf("a delayed job has normal priority and no reducer: the protocol has no packet for others")
	case t.Reducer != "" && t.Priority != gearman.Normal:
		return cli.UsageErrorf("a job with a reducer has normal priority: the protocol has no packet for others")
	case s.cfg.NoHandles && !t.Background:
		return cli.UsageErrorf("--quiet needs --background")
	case s.cfg.Propagate && t.Background:
		return cli.UsageErrorf("--propagate cannot be used with a background job: submit does not wait for its end")
	case t.Background && (s.cfg.Out != "" || s.cfg.Folder != ""):
		return cli.UsageErrorf("--out and --results cannot be used with a background job: submit does not wait for its result")
	case t.Background && c.Bool("first"):
		return cli.UsageErrorf("--first cannot be used with a background job: submit does not wait for its end")
	}
	return nil
}

// submitTime returns the time at which the job should run, or zero for now. It reports a
// time in the past on stderr; the job runs at once.
func (e *env) submitTime(c *cli.Context) (time.Time, error) {
	in, at := c.String("in"), c.String("at")
	switch {
	case c.IsSet("in") && c.IsSet("at"):
		return time.Time{}, cli.UsageErrorf("--in cannot be used with --at")
	case c.IsSet("in"):
		d, err := duration.Parse(in)
		if err != nil || d < 0 {
			return time.Time{}, cli.UsageErrorf("--in %q: want a time such as 90s, 10m or 2d", in)
		}
		return time.Now().Add(d), nil
	case !c.IsSet("at"):
		return time.Time{}, nil
	}
	now := time.Now()
	t, local, err := walltime.Parse(at, now)
	if err != nil {
		return time.Time{}, cli.UsageErrorf("--at: %w", err)
	}
	if local {
		if err := walltime.CheckZone(e.Getenv("TZ")); err != nil {
			return time.Time{}, cli.WithHint(cli.UsageErrorf("--at: %w", err),
				"write the offset from UTC, as in 2006-01-02T15:04:05+01:00, or @ and Unix seconds")
		}
	}
	if !t.After(now) {
		e.note("--at %s is in the past: the job runs at once", at)
	}
	return t, nil
}

// runFirst submits one job to each function on each server and prints the first result
// that is complete.
func (s *recordRun) runFirst(c *cli.Context) error {
	switch {
	case s.cfg.Input.Many:
		return cli.UsageErrorf("--first cannot be used with several records")
	case s.cfg.Joblog.Path != "" || s.dryRun:
		return cli.UsageErrorf("--first cannot be used with --joblog or --dry-run")
	}
	run, err := s.openRun()
	if err != nil {
		return err
	}
	report, err := run.First(c.Context, s.opts, s.tasks)
	if err != nil {
		return err
	}
	return s.verdict(report)
}
