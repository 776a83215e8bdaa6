package cmd

import (
	"context"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
)

func cancelVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "cancel",
			Usage:       "take jobs out of the queue",
			ArgsUsage:   "HANDLE..",
			Description: `Takes jobs out of the queue, on whichever of the servers they are; who waits for one learns that it has failed. A job that runs is not stopped: gm serve lets it finish and delivers its result, but does not run it again. With --running, gm serve tells a worker that is gm work to stop the job: its processes get SIGTERM, and SIGKILL after the worker's --kill-after, and the job has failed. Other workers cannot be told; their jobs run on, as without --running, and a line on stderr says so. A dead job is forgotten. A job that no server knows does not keep the others from being cancelled.`,
			Flags: append([]cli.Flag{
				&cli.BoolFlag{Name: "running", Usage: "also stop jobs that run, if their workers are gm work"},
			}, e.queryFlags()...),
			Action: func(c *cli.Context) error { return e.cancel(c) },
		},
		examples: []example{
			{"one job", `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm cancel "$h"`},
			{"one job, also if it runs", `h=$(gm submit -b -f thumbnail photo.jpg); gm cancel --running "$h"`},
			{"all that wait for a function", "gm jobs resize --state waiting --limit 0 | cut -f2 | xargs -r gm cancel"},
		},
		exits: []int{exitUnknown, exitNoServer, exitAgain, exitTimeout, exitSignal},
	}
}

// cancel is the verb's action.
func (e *env) cancel(c *cli.Context) error {
	if c.NArg() == 0 {
		return usageErrorf("cancel: no handle")
	}
	cancelJob := (*gearman.Admin).CancelJob
	if c.Bool("running") {
		cancelJob = e.cancelRunning
	}
	return e.eachHandle(c, "unknown, or done", cancelJob)
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
