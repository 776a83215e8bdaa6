package cmd

import (
	"context"
	"slices"

	"gm/cmd/cli"
	"gm/pkg/gearman"
)

func cancelVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "cancel",
			Usage:     "remove jobs from the queue",
			ArgsUsage: "[HANDLE..|-]",
			Description: `Removes jobs from the queue of any of the servers; their clients get a failure. A running job is not stopped: gm serve lets it finish and delivers its result, but does not run it again. With --running, gm serve asks the gm work that runs the job to stop it: its processes get SIGTERM, and SIGKILL after the worker's --kill-after, and the job fails. Other workers cannot stop a job: it goes on, as without --running, and a message on stderr says so. A dead job is removed. If no server knows some of the jobs, gm cancels the others and reports them.

` + handlesText + ` With -f it cancels waiting and delayed jobs, with --running also running ones. Columns of tsv with -f: server, function, number of jobs.`,
			Flags: slices.Concat([]cli.Flag{
				&cli.BoolFlag{Name: "running", Usage: "also stop running jobs, if their workers are gm work"},
			}, selectFlags("cancel all jobs of -f that have not ended"), e.RowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.cancelJobs(c) },
		},
		Examples: []cli.Example{
			{What: "one job", Line: `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm cancel "$h"`},
			{What: "one job, also if it runs", Line: `h=$(gm submit -b -f thumbnail photo.jpg); gm cancel --running "$h"`},
			{What: "all waiting jobs of a function", Line: "gm cancel --all -f resize"},
			{What: "jobs with a text in their payload", Line: "gm cancel -f 'res*' --match photo.jpg"},
			{What: "the hundred oldest waiting jobs", Line: "gm jobs --state waiting -o tsv | gm cancel -"},
		},
		Exits: []int{cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitRefused, cli.ExitTimeout, cli.ExitSignal},
	}
}

// cancelJobs is the action of gm cancel.
func (e *env) cancelJobs(c *cli.Context) error {
	s, handles, err := e.selectedJobs(c, true)
	if err != nil {
		return err
	}
	states := []gearman.JobState{gearman.StateWaiting, gearman.StateDelayed}
	cancelJob := (*gearman.Admin).CancelJob
	if c.Bool("running") {
		cancelJob = e.cancelRunning
		states = append(states, gearman.StateRunning)
	}
	if s != nil {
		return e.changeSelected(c, s, cancelJob, states...)
	}
	return e.changeHandles(c, handles, "unknown, or done", cancelJob)
}

// cancelRunning cancels a job, even if it is running. It reports on stderr that a worker
// cannot stop its job.
func (e *env) cancelRunning(admin *gearman.Admin, ctx context.Context, h gearman.Handle) error {
	stopped, err := admin.CancelRunning(ctx, h)
	if err == nil && !stopped {
		e.note("%s: its worker cannot stop a job; it runs on", h)
	}
	return err
}
