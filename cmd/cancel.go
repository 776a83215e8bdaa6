package cmd

import (
	"context"
	"slices"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
)

func cancelVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:      "cancel",
			Usage:     "take jobs out of the queue",
			ArgsUsage: "[HANDLE..|-]",
			Description: `Takes jobs out of the queue, on whichever of the servers they are; who waits for one learns that it has failed. A job that runs is not stopped: gm serve lets it finish and delivers its result, but does not run it again. With --running, gm serve tells a worker that is gm work to stop the job: its processes get SIGTERM, and SIGKILL after the worker's --kill-after, and the job has failed. Other workers cannot be told; their jobs run on, as without --running, and a line on stderr says so. A dead job is forgotten. A job that no server knows does not keep the others from being cancelled.

` + handlesText + ` Of a function those that wait or are delayed are cancelled, with --running also those that run; columns of tsv then: server, function, how many there were.`,
			Flags: slices.Concat([]cli.Flag{
				&cli.BoolFlag{Name: "running", Usage: "also stop jobs that run, if their workers are gm work"},
			}, selectFlags("all jobs of -f that have not ended"), e.rowFlags(), e.queryFlags()),
			Action: func(c *cli.Context) error { return e.cancel(c) },
		},
		examples: []example{
			{"one job", `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm cancel "$h"`},
			{"one job, also if it runs", `h=$(gm submit -b -f thumbnail photo.jpg); gm cancel --running "$h"`},
			{"all that wait for a function", "gm cancel --all -f resize"},
			{"those about one thing", "gm cancel -f 'res*' --match photo.jpg"},
			{"the hundred oldest", "gm jobs --state waiting -o tsv | gm cancel -"},
		},
		exits: []int{exitUnknown, exitNoServer, exitIO, exitAgain, exitProtocol, exitRefused, exitTimeout, exitSignal},
	}
}

// cancel is the verb's action.
func (e *env) cancel(c *cli.Context) error {
	s, err := e.selection(c, true)
	if err != nil {
		return err
	}
	states := []gearman.JobState{gearman.StateWaiting, gearman.StateDelayed}
	cancelJob := (*gearman.Admin).CancelJob
	if c.Bool("running") {
		cancelJob = e.cancelRunning
		states = append(states, gearman.StateRunning)
	}
	if s.function != "" {
		return e.eachSelected(c, s, cancelJob, states...)
	}
	return e.eachHandle(c, s.handles, "unknown, or done", cancelJob)
}

// cancelRunning cancels a job, also if it runs, and says when its worker cannot be
// told to stop it.
func (e *env) cancelRunning(admin *gearman.Admin, ctx context.Context, h gearman.Handle) error {
	stopped, err := admin.CancelRunning(ctx, h)
	if err == nil && !stopped {
		e.note("%s: its worker cannot be told to stop it; it runs on", h)
	}
	return err
}
