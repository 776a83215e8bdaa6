package cmd

import (
	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
)

func cancelVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "cancel",
			Usage:       "take jobs out of the queue",
			ArgsUsage:   "HANDLE..",
			Description: `Takes jobs out of the queue, on whichever of the servers they are; who waits for one learns that it has failed. Gearman cannot stop a job that runs: gm serve lets it finish and delivers its result. A dead job is forgotten. A job that no server knows does not keep the others from being cancelled.`,
			Flags:       e.queryFlags(),
			Action:      func(c *cli.Context) error { return e.cancel(c) },
		},
		examples: []example{
			{"one job", `h=$(gm submit -b --in 1h -f thumbnail photo.jpg); gm cancel "$h"`},
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
	return e.eachHandle(c, "unknown, or done", (*gearman.Admin).CancelJob)
}
