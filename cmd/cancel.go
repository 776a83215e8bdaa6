package cmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
)

func cancelVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "cancel",
			Usage:       "take jobs out of the queue",
			ArgsUsage:   "HANDLE..",
			Description: `Takes jobs out of the queue, on whichever of the servers they are; who waits for one learns that it has failed. Gearman cannot stop a job that runs: gm serve lets it finish and delivers its result. A job that no server knows does not keep the others from being cancelled.`,
			Flags:       e.queryFlags(),
			Action:      func(c *cli.Context) error { return e.cancel(c) },
		},
		examples: []example{
			{"one job", "gm cancel H:host:17"},
			{"all that wait for a function", "gm jobs resize --state waiting --limit 0 | cut -f2 | xargs gm cancel"},
		},
		exits: []int{exitUnknown, exitNoServer, exitTimeout, exitSignal},
	}
}

// cancel is the verb's action.
func (e *env) cancel(c *cli.Context) error {
	if c.NArg() == 0 {
		return usageErrorf("cancel: no handle")
	}
	if err := checkWords(c); err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	// Whether it was found, for each handle.
	answers, err := succeeded(e, askAll(c.Context, o, durationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) ([]bool, error) {
			return cancelJobs(ctx, admin, c.Args().Slice())
		}))
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	var unknown []error
	for i, handle := range c.Args().Slice() {
		found := false
		for _, a := range answers {
			found = found || a.value[i]
		}
		if !found {
			unknown = append(unknown, fmt.Errorf("cancel %s: unknown, or done", handle))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return exitWith(exitUnknown, errors.Join(unknown...))
}

// cancelJobs cancels jobs on one server and reports for each whether the
// server knew it.
func cancelJobs(ctx context.Context, admin *gearman.Admin, handles []string) ([]bool, error) {
	found := make([]bool, len(handles))
	for i, h := range handles {
		err := admin.CancelJob(ctx, gearman.Handle(h))
		if err != nil && exitCode(err) != exitUnknown {
			return nil, err
		}
		found[i] = err == nil
	}
	return found, nil
}
