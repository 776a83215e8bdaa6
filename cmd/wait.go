package cmd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

func waitVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "wait",
			Usage:     "wait until jobs have ended",
			ArgsUsage: "[HANDLE..|-]",
			Description: `Waits for jobs on any of the servers (gm serve) and prints a row for each when it ends. A job that failed and will be retried has not ended. The exit code is 0 if all jobs completed, 1 if one did not, 3 if one is unknown and none has failed.

` + handlesText + ` With -f it waits for the waiting, delayed and running jobs of the function; without --match for all of them, with or without --all.

After the end of a job only a server with --keep-results knows the outcome, or if the job is dead. For other jobs, wait must be connected before they end.

Columns of tsv: server, handle, function, state (completed, failed, exception, cancelled, dead, unknown), failed attempts, size of the result in bytes, time of the end in Unix milliseconds, error. An unknown value is empty, and missing in JSON.`,
			Flags: slices.Concat(selectFlags("wait for all jobs of -f that have not ended"), []cli.Flag{
				cli.DurationFlag(0, cli.GenericFlag{
					Name: "timeout", Aliases: []string{"t"}, Category: cli.CatServers,
					Usage: "give up after `DURATION`, such as 500ms, 10s or 1m (default never)",
				}),
			}, e.RowFlags(), e.connFlags()),
			Action: func(c *cli.Context) error { return e.waitForJobs(c) },
		},
		Examples: []cli.Example{
			{What: "go on when a job is done, for at most a minute", Line: `h=$(gm submit -b -f resize photo.jpg); gm wait -t 1m "$h" && echo done`},
			{What: "all jobs of a function", Line: "gm wait -f resize"},
		},
		Exits: []int{cli.ExitFailed, cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitTimeout, cli.ExitSignal},
	}
}

// outcomeRow is the outcome of a job on a server.
type outcomeRow struct {
	Server string `json:"server,omitempty"`
	gearman.Outcome
}

var outcomeColumns = []cli.Column{
	serverColumn,
	handleColumn,
	functionColumn,
	{Name: "state"},
	{Name: "attempts", Right: true, Usual: "0"},
	{Name: "size", Right: true},
	{Name: "ended", Right: true},
	{Name: "error"},
}

func (r outcomeRow) Cells(human bool) []string {
	if r.State == gearman.OutcomeUnknown {
		return []string{r.Server, string(r.Handle), "", string(r.State), "", "", "", ""}
	}
	return []string{
		r.Server, string(r.Handle), r.Function, string(r.State), strconv.Itoa(r.Attempts), strconv.Itoa(r.Size),
		cli.DateCell(r.EndedMS, human), cli.TextCell(r.Error, human),
	}
}

// Paint colours every state except completed.
func (r outcomeRow) Paint(s *cli.Style, cells []string) {
	switch r.State {
	case gearman.OutcomeCompleted:
	case gearman.OutcomeUnknown:
		cells[3] = s.Warn.Sprint(r.State)
	default:
		cells[3] = s.Bad.Sprint(r.State)
	}
}

// waitForJobs is the action of gm wait.
func (e *env) waitForJobs(c *cli.Context) error {
	selected, handles, err := e.selectedJobs(c, false)
	if err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	rows, err := e.NewRows(c, outcomeColumns...)
	if err != nil {
		return err
	}
	ctx, cancel := c.Context, context.CancelFunc(func() {})
	if d := cli.DurationOf(c, "timeout"); d > 0 {
		ctx, cancel = context.WithTimeout(ctx, d)
	}
	defer cancel()
	if selected != nil {
		if handles, err = e.unendedHandles(ctx, o, selected); err != nil {
			return fmt.Errorf("wait: %w", err)
		}
	}
	code := cli.ExitOK
	absent, err := fleet.Wait(ctx, o, handles, func(s gearman.Server, outcome gearman.Outcome) error {
		row := outcomeRow{Outcome: outcome}
		if outcome.State != gearman.OutcomeUnknown {
			row.Server = s.String()
		}
		code = worseCode(code, outcome.State)
		if err := rows.Add(row); err != nil {
			return err
		}
		return rows.Flush()
	})
	e.noteAbsent(absent)
	if closeErr := rows.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	if code == cli.ExitOK {
		return nil
	}
	return cli.ExitWith(code, nil) // without a text: the rows have it
}

// worseCode returns the exit code of several jobs after one more outcome.
func worseCode(code int, state gearman.OutcomeState) int {
	switch {
	case state == gearman.OutcomeCompleted:
		return code
	case state != gearman.OutcomeUnknown:
		return cli.ExitFailed
	case code == cli.ExitOK:
		return cli.ExitUnknown
	}
	return code
}

// unendedHandles returns the handles of the selected jobs that have not ended, on all
// servers that answer.
func (e *env) unendedHandles(ctx context.Context, o gearman.Options, s *fleet.Selection) ([]gearman.Handle, error) {
	s.Timeout = unendedTimeout
	answers, err := succeeded(e, fleet.Ask(ctx, o, manyJobsTimeout, func(ctx context.Context, admin *gearman.Admin) ([]gearman.Handle, error) {
		return s.Jobs(ctx, admin, gearman.StateWaiting, gearman.StateDelayed, gearman.StateRunning)
	}))
	if err != nil {
		return nil, err
	}
	var handles []gearman.Handle
	for _, a := range answers {
		handles = append(handles, a.Value...)
	}
	return handles, nil
}

// unendedTimeout is the maximum time that a server may take to list a page of jobs.
const unendedTimeout = 10 * time.Second
