package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
)

func retryVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:      "retry",
			Usage:     "retry dead jobs",
			ArgsUsage: "[HANDLE..|-]",
			Description: `Moves dead jobs of gm serve, on any of the servers, back to their queues. They keep their handles, and their attempts start from zero. Jobs that are not dead are reported; the others are retried all the same.

` + handlesText + ` Columns of tsv with -f: server, function, number of jobs.`,
			Flags:  slices.Concat(selectFlags("retry all dead jobs of -f"), e.rowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.retry(c) },
		},
		examples: []example{
			{"the oldest dead job", "gm jobs --dead -n 1 -o tsv | gm retry -"},
			{"all jobs of a function, after its worker is repaired", "gm retry --all -f resize"},
		},
		exits: []int{exitUnknown, exitNoServer, exitIO, exitAgain, exitProtocol, exitRefused, exitTimeout, exitSignal},
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

func (r *countRow) cells(bool) []string { return []string{r.Server, r.Function, strconv.Itoa(r.Jobs)} }

// retryAll retries all dead jobs of a function, on all servers that answer.
func (e *env) retryAll(c *cli.Context, function string) error {
	o, err := e.options(c)
	if err != nil {
		return err
	}
	w, err := e.newRows(c, column{"server", false}, column{"function", false}, column{"jobs", true})
	if err != nil {
		return err
	}
	answers, err := succeeded(e, askAll(c.Context, o, durationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) (int, error) { return admin.RetryAll(ctx, function) }))
	if err != nil {
		return fmt.Errorf("retry %s: %w", function, err)
	}
	for _, a := range answers {
		if err := w.add(&countRow{a.server.String(), function, a.value}); err != nil {
			return err
		}
	}
	return w.close()
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
	answers, err := succeeded(e, askAll(c.Context, o, durationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) ([]bool, error) {
			found := make([]bool, len(handles))
			for i, h := range handles {
				err := do(admin, ctx, gearman.Handle(h))
				if err != nil && exitCode(err) != exitUnknown {
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
	return withHint(exitWith(exitUnknown, errors.Join(missing...)), "gm jobs lists jobs, gm jobs --dead the dead ones")
}
