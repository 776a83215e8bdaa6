package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

func retryVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "retry",
			Usage:     "retry dead jobs",
			ArgsUsage: "[HANDLE..|-]",
			Description: `Moves dead jobs of gm serve, on any of the servers, back to their queues. They keep their handles, and their attempts start from zero. Jobs that are not dead are reported; the others are retried all the same.

` + handlesText + ` Columns of tsv with -f: server, function, number of jobs.`,
			Flags:  slices.Concat(selectFlags("retry all dead jobs of -f"), e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.retry(c) },
		},
		Examples: []cli.Example{
			{What: "the oldest dead job", Line: "gm jobs --dead -n 1 -o tsv | gm retry -"},
			{What: "all jobs of a function, after its worker is repaired", Line: "gm retry --all -f resize"},
		},
		Exits: []int{cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitRefused, cli.ExitTimeout, cli.ExitSignal},
	}
}

// retry is the verb's action.
func (e *env) retry(c *cli.Context) error {
	s, err := e.selection(c, true)
	switch {
	case err != nil:
		return err
	case s.function != "" && s.match == "" && !isPattern(s.function):
		return e.retryAll(c, s.function)
	case s.function != "":
		return e.eachSelected(c, s, (*gearman.Admin).RetryJob, gearman.StateDead)
	}
	return e.eachHandle(c, s.handles, "not a dead job", (*gearman.Admin).RetryJob)
}

// countRow is the number of jobs of a function that a server has changed.
type countRow struct {
	Server   string `json:"server"`
	Function string `json:"function"`
	Jobs     int    `json:"jobs"`
}

func (r *countRow) Cells(bool) []string { return []string{r.Server, r.Function, strconv.Itoa(r.Jobs)} }

// retryAll retries all dead jobs of a function, on all servers that answer.
func (e *env) retryAll(c *cli.Context, function string) error {
	o, err := e.options(c)
	if err != nil {
		return err
	}
	w, err := e.NewRows(c, cli.Column{Name: "server", Right: false}, cli.Column{Name: "function", Right: false}, cli.Column{Name: "jobs", Right: true})
	if err != nil {
		return err
	}
	answers, err := succeeded(e, askAll(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) (int, error) { return admin.RetryAll(ctx, function) }))
	if err != nil {
		return fmt.Errorf("retry %s: %w", function, err)
	}
	for _, a := range answers {
		if err := w.Add(&countRow{a.server.String(), function, a.value}); err != nil {
			return err
		}
	}
	return w.Close()
}

// eachHandle calls do for each handle on every server. A handle that no server knows is
// an error with the text unknown.
func (e *env) eachHandle(c *cli.Context, handles []string, unknown string, do func(*gearman.Admin, context.Context, gearman.Handle) error) error {
	verb := c.Command.Name
	o, err := e.options(c)
	if err != nil {
		return err
	}
	// For each handle, whether the server has its job.
	answers, err := succeeded(e, askAll(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) ([]bool, error) {
			found := make([]bool, len(handles))
			for i, h := range handles {
				err := do(admin, ctx, gearman.Handle(h))
				if err != nil && exitCode(err) != cli.ExitUnknown {
					return nil, fmt.Errorf("%s: %w", h, err)
				}
				found[i] = err == nil
			}
			return found, nil
		}))
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	var missing []error
	for i, h := range handles {
		if !slices.ContainsFunc(answers, func(a answer[[]bool]) bool { return a.value[i] }) {
			missing = append(missing, fmt.Errorf("%s %s: %s", verb, h, unknown))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return cli.WithHint(cli.ExitWith(cli.ExitUnknown, errors.Join(missing...)), "gm jobs lists jobs, gm jobs --dead the dead ones")
}
