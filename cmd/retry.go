package cmd

import (
	"context"
	"slices"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

// kindDead is the kind of arguments that are handles of dead jobs, for completions.
const kindDead = "dead"

func retryVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "retry",
			Usage:     "retry dead jobs",
			ArgsUsage: "[HANDLE..|-]",
			Description: `Moves dead jobs of gm serve, on any of the servers, back to their queues. They keep their handles, and their attempts start from zero. If some of the jobs are not dead, gm retries the others and reports them.

` + handlesText + ` Columns of tsv with -f: server, function, number of jobs.`,
			Flags:  slices.Concat(selectFlags("retry all dead jobs of -f"), e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.retryJobs(c) },
		},
		ArgsKind: kindDead,
		Examples: []cli.Example{
			{What: "the oldest dead job", Line: "gm jobs --dead -n 1 -o tsv | gm retry -"},
			{What: "all jobs of a function, after its worker is repaired", Line: "gm retry --all -f resize"},
		},
		Exits: []int{cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitRefused, cli.ExitTimeout, cli.ExitSignal},
	}
}

// retryJobs is the action of gm retry.
func (e *env) retryJobs(c *cli.Context) error {
	s, handles, err := e.selectedJobs(c, true)
	switch {
	case err != nil:
		return err
	case s == nil:
		return e.changeHandles(c, handles, "not a dead job", (*gearman.Admin).RetryJob)
	case s.Match == "" && !fleet.IsPattern(s.Function):
		return e.countChanges(c, s.Function, cli.DurationOf(c, "timeout"), func(ctx context.Context, admin *gearman.Admin) (int, error) {
			return admin.RetryAll(ctx, s.Function)
		})
	}
	return e.changeSelected(c, s, (*gearman.Admin).RetryJob, gearman.StateDead)
}
