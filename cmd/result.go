package cmd

import (
	"context"
	"fmt"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

func resultVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:      "result",
			Usage:     "print the result of a background job",
			ArgsUsage: "HANDLE",
			Description: `Prints the result of a completed job, byte for byte, if its server keeps results: gm serve --keep-results 10m. It does not wait; gm wait does.

The exit code is 0 if the job completed, 1 (with the error) if it failed, 75 if it has not ended yet, 3 if it is unknown.`,
			Flags:  e.queryFlags(),
			Action: e.printResult,
		},
		Examples: []cli.Example{
			{What: "submit now, fetch later", Line: `h=$(gm submit -b -f resize a.jpg); gm wait "$h" && gm result "$h" >small.jpg`},
		},
		Exits: []int{cli.ExitFailed, cli.ExitUnknown, cli.ExitNoServer, cli.ExitIO, cli.ExitAgain, cli.ExitProtocol, cli.ExitTimeout, cli.ExitSignal},
	}
}

// printResult is the action of gm result.
func (e *env) printResult(c *cli.Context) error {
	if c.NArg() != 1 {
		return cli.UsageErrorf("result: %d arguments, want one handle", c.NArg())
	}
	if err := checkHandles(c); err != nil {
		return err
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	defer e.EndLastLine()()
	handle := gearman.Handle(c.Args().First())
	answers, err := succeeded(e, fleet.Ask(c.Context, o, cli.DurationOf(c, "timeout"),
		func(ctx context.Context, admin *gearman.Admin) (gearman.Outcome, error) {
			return fleet.ResultOf(ctx, admin, handle, e.Stdout)
		}))
	if err != nil {
		return fmt.Errorf("result %s: %w", handle, err)
	}
	for _, a := range answers {
		if a.Value.State != gearman.OutcomeUnknown {
			return resultError(&a.Value)
		}
	}
	return cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("result %s: unknown job", handle)),
		"gm serve keeps results for the time of --keep-results")
}

// resultError returns the error of gm result for an outcome; nil if the job completed.
func resultError(o *gearman.Outcome) error {
	switch o.State {
	case gearman.OutcomeCompleted:
		if !o.Kept {
			return cli.ExitWith(cli.ExitIO, fmt.Errorf("result %s: the job completed, but its result was too large to be kept", o.Handle))
		}
		return nil
	case fleet.OutcomeUnended:
		return cli.WithHint(cli.ExitWith(cli.ExitAgain, fmt.Errorf("result %s: the job has not ended", o.Handle)), "gm wait waits for its end")
	}
	err := fmt.Errorf("result %s: %s", o.Handle, o.State)
	if text := strings.TrimSpace(o.Error); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return cli.ExitWith(cli.ExitFailed, err)
}
