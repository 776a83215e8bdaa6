package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

const jobColumnsText = `Columns of tsv: server, handle, function, state (waiting, delayed, running, dead), priority, age in ms, attempts, size of the payload in bytes, progress (numerator/denominator), unique, worker, when it died in Unix milliseconds, last error. A value that a server does not report is empty, and missing in JSON.`

const followText = `--follow prints the data of the result as the worker sends it, until the job ends; progress and warnings go to stderr. The exit code is 0 if the job has completed, 1 if it has failed. The output begins with the earlier data that the server has kept (gm serve --keep-results). -o jsonl prints objects: event (data, warning, status, or again, after which the job starts over), data in base64, numerator, denominator; the last one is the outcome, as in gm wait. Only gm serve supports it.`

func jobVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "job",
			Usage:     "show one job",
			ArgsUsage: "HANDLE",
			Description: `Asks all servers for the job and shows it. A completed job is unknown. A job that has failed for good is dead; it is shown with its last error until it is forgotten. gm serve reports everything, other servers only the progress and whether the job runs. On a terminal each line has a name and a value.

--payload prints the payload of the job. With gm serve, -o json and jsonl have it as payload, or as payload_base64 if it is not UTF-8.

` + followText + `

` + jobColumnsText,
			Flags: slices.Concat([]cli.Flag{
				&cli.BoolFlag{Name: "payload", Usage: "print only the payload, byte for byte (gm serve)"},
				&cli.BoolFlag{Name: "follow", Usage: "print the result as it arrives, until the job ends (gm serve)"},
			}, e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.showJob(c) },
		},
		Examples: []cli.Example{
			{What: "the payload of a job", Line: `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm job "$h" --payload`},
			{What: "the state of a job", Line: `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm job "$h"`},
			{What: "the progress of a job, for a program", Line: `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm job "$h" -o jsonl | grep -o '"numerator":[0-9]*'`},
		},
		Exits: []int{cli.ExitFailed, cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitProtocol, cli.ExitTimeout, cli.ExitSignal},
	}
}

func jobsVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "jobs",
			Usage:     "list waiting, delayed, running and dead jobs",
			ArgsUsage: "[FUNC]",
			Description: `Lists the jobs of all functions, of one, or of those that a pattern such as 'img*' matches, the oldest first. Dead jobs, which are background jobs that have failed for good, are listed only with --dead. gm serve reports everything, gearmand only handles, attempts and whether the jobs run, without their functions.

` + jobColumnsText,
			Flags: slices.Concat([]cli.Flag{
				&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "list only jobs of `FUNC`, like the argument"},
				&cli.StringFlag{Name: "state", Usage: "list only jobs in `STATE`: waiting, delayed, running or dead"},
				&cli.BoolFlag{Name: "dead", Usage: "list the dead jobs, like --state dead"},
				&cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 100, Usage: "list at most `N` jobs of each server; 0 lists all"},
			}, e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.listJobs(c) },
		},
		Examples: []cli.Example{
			{What: "the oldest waiting jobs", Line: "gm jobs --state waiting"},
			{What: "the dead jobs of a function and their errors", Line: "gm jobs --dead -f resize -o tsv | cut -f2,13"},
			{What: "cancel the waiting jobs of one function", Line: "gm jobs resize --state waiting --limit 0 -o tsv | gm cancel -"},
		},
		Exits: []int{cli.ExitNoServer, cli.ExitIO, cli.ExitProtocol, cli.ExitTimeout, cli.ExitSignal},
	}
}

// jobRow is a job on a server.
type jobRow struct{ *fleet.Job }

var jobColumns = []cli.Column{
	serverColumn,
	handleColumn,
	functionColumn,
	{Name: "state"},
	{Name: "priority", Usual: "normal"},
	{Name: "age", Right: true},
	{Name: "attempts", Right: true, Usual: "0"},
	{Name: "size", Right: true},
	{Name: "progress", Right: true},
	{Name: "unique"},
	{Name: "worker"},
	{Name: "died", Right: true},
	{Name: "error"},
}

func (r jobRow) Cells(human bool) []string {
	progress := ""
	if r.Denominator != 0 || r.Numerator != 0 {
		progress = fmt.Sprintf("%d/%d", r.Numerator, r.Denominator)
	}
	if r.Partial {
		return []string{r.Server, string(r.Handle), "", string(r.State), "", "", strconv.Itoa(r.Attempts), "", progress, "", "", "", ""}
	}
	return []string{
		r.Server, string(r.Handle), r.Function, string(r.State), r.Priority, cli.AgeCell(&r.AgeMS, human),
		strconv.Itoa(r.Attempts), strconv.Itoa(r.Size), progress, r.Unique, r.Worker, cli.DateCell(r.DiedMS, human), cli.TextCell(r.Error, human),
	}
}

// showJob is the action of gm job.
func (e *env) showJob(c *cli.Context) error {
	if c.NArg() != 1 {
		return cli.UsageErrorf("job: %d arguments, want one handle", c.NArg())
	}
	if err := checkHandles(c); err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	w, err := e.NewRows(c, jobColumns...)
	if err != nil {
		return err
	}
	w.Fields = true
	handle := gearman.Handle(c.Args().First())
	if c.Bool("follow") {
		if c.Bool("payload") {
			return cli.UsageErrorf("job: --follow cannot be used with --payload")
		}
		return e.followJob(c, o, w, handle)
	}
	if c.Bool("payload") && !c.IsSet("output") {
		return e.printPayload(c, o, handle)
	}
	withPayload := w.Format == cli.FormatJSON || w.Format == cli.FormatJSONL
	if c.Bool("payload") && !withPayload {
		return cli.UsageErrorf("job: --payload needs -o json, -o jsonl, or no -o")
	}
	answers, err := succeeded(e, fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) (*fleet.Job, error) {
			if withPayload {
				job, err := fleet.FindPayload(ctx, admin, handle)
				if !errors.Is(err, gearman.ErrUnsupported) {
					return job, err
				}
			}
			return fleet.FindJob(ctx, o, admin, handle)
		}))
	if err != nil {
		return fmt.Errorf("job %s: %w", handle, err)
	}
	for _, a := range answers {
		if a.Value == nil {
			continue
		}
		if err := w.Add(jobRow{a.Value}); err != nil {
			return err
		}
		return w.Close()
	}
	return unknownJobError(handle)
}

// unknownJobError returns the error for a job that no server knows.
func unknownJobError(h gearman.Handle) error {
	return cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("job %s: unknown, or done", h)), hintUnknownJob)
}

// printPayload copies the payload of a job from its server to stdout.
func (e *env) printPayload(c *cli.Context, o gearman.Options, h gearman.Handle) error {
	defer e.EndLastLine()()
	answers, err := succeeded(e, fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) (found bool, err error) {
			_, err = admin.JobPayload(ctx, h, e.Stdout)
			if errors.Is(err, gearman.ErrUnknownJob) {
				return false, nil
			}
			return err == nil, err
		}))
	if err != nil {
		return fmt.Errorf("job %s: %w", h, err)
	}
	if !slices.ContainsFunc(answers, func(a fleet.Answer[bool]) bool { return a.Value }) {
		return unknownJobError(h)
	}
	return nil
}

// followRow is a line of job --follow -o jsonl.
type followRow struct {
	Server string `json:"server"`
	*gearman.FollowEvent
	*gearman.Outcome
}

func (r *followRow) Cells(bool) []string { return nil } // it is JSON only

// followJob prints the data that the worker of a job sends. Its error is the outcome.
func (e *env) followJob(c *cli.Context, o gearman.Options, w *cli.RowWriter, h gearman.Handle) error {
	asJSON := c.IsSet("output")
	if asJSON && w.Format != cli.FormatJSONL {
		return cli.UsageErrorf("job: --follow needs -o jsonl, or no -o")
	}
	if !asJSON {
		defer e.EndLastLine()()
	}
	ended, absent, err := fleet.Follow(c.Context, o, h, func(s gearman.Server, event gearman.FollowEvent) error {
		if !asJSON {
			return e.printEvent(&event)
		}
		if err := w.Add(&followRow{Server: s.String(), FollowEvent: &event}); err != nil {
			return err
		}
		return w.Flush()
	})
	switch {
	case err != nil:
		return fmt.Errorf("job %s: %w", h, err)
	case ended.Value.State == gearman.OutcomeUnknown:
		e.noteAbsent(absent)
		return cli.ExitWith(cli.ExitUnknown, fmt.Errorf("job %s: unknown, or done", h))
	}
	if asJSON {
		if err := w.Add(&followRow{Server: ended.Server.String(), Outcome: &ended.Value}); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	if ended.Value.State == gearman.OutcomeCompleted {
		return nil
	}
	text := string(ended.Value.State)
	if ended.Value.Error != "" {
		text += ": " + cli.TextCell(ended.Value.Error, true)
	}
	return cli.ExitWith(cli.ExitFailed, fmt.Errorf("job %s: %s", h, text))
}

// printEvent prints the data of an event on stdout, and other events on stderr.
func (e *env) printEvent(event *gearman.FollowEvent) error {
	switch event.Event {
	case gearman.FollowData:
		_, err := e.Stdout.Write(event.Data)
		return err
	case gearman.FollowStatus:
		e.note("progress %d/%d", event.Numerator, event.Denominator)
	case gearman.FollowWarning:
		e.note("warning: %s", event.Data)
	case gearman.FollowAgain:
		e.note("the job starts over: the data before this is void")
	}
	return nil
}

// listJobs is the action of gm jobs.
func (e *env) listJobs(c *cli.Context) error {
	if c.NArg() > 1 {
		return cli.UsageErrorf("jobs: %d arguments, want one function or none", c.NArg())
	}
	state, function, err := jobFilter(c)
	if err != nil {
		return err
	}
	if err := checkWords(c); err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	w, err := e.NewRows(c, jobColumns...)
	if err != nil {
		return err
	}
	answers, absent, err := splitAnswers(e, fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) ([]*fleet.Job, error) {
			return fleet.ListJobs(ctx, admin, function, state, c.Int("limit"))
		}), w.Format == cli.FormatTable)
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	w.Notes = absentLines(absent)
	for _, a := range answers {
		for _, job := range a.Value {
			if err := w.Add(jobRow{job}); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

// jobFilter returns the state and the function that flags and arguments select. Empty
// values select all.
func jobFilter(c *cli.Context) (state gearman.JobState, function string, err error) {
	state, function = gearman.JobState(c.String("state")), c.String("function")
	switch state {
	case "", gearman.StateWaiting, gearman.StateDelayed, gearman.StateRunning, gearman.StateDead:
	default:
		return "", "", cli.UsageErrorf("--state %q: want waiting, delayed, running or dead", string(state))
	}
	switch arg := c.Args().First(); {
	case c.Bool("dead") && state != "" && state != gearman.StateDead:
		return "", "", cli.UsageErrorf("--dead cannot be used with --state %s", state)
	case function != "" && arg != "" && arg != function:
		return "", "", cli.UsageErrorf("functions %q and %q: want one", function, arg)
	case arg != "":
		function = arg
	}
	if c.Bool("dead") {
		state = gearman.StateDead
	}
	return state, function, nil
}
