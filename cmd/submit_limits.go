package cmd

import (
	"context"
	"fmt"
	"math"
	"time"

	"gm/cmd/cli"
	"gm/pkg/fleet"
	"gm/pkg/gearman"
)

// requireTimeout is the maximum time that a server may take to list its workers.
const requireTimeout = 10 * time.Second

// requireWorker returns an error unless some server has a worker for function.
func (e *env) requireWorker(ctx context.Context, opts gearman.Options, function string) error {
	answers, err := succeeded(e, fleet.Ask(ctx, opts, requireTimeout,
		func(ctx context.Context, admin *gearman.Admin) ([]gearman.FunctionStatus, error) {
			return admin.Status(ctx)
		}))
	if err != nil {
		return fmt.Errorf("ask for workers: %w", err)
	}
	for _, a := range answers {
		for _, f := range a.Value {
			if f.Function == function && f.Workers > 0 {
				return nil
			}
		}
	}
	return cli.WithHint(cli.ExitWith(cli.ExitUnknown, fmt.Errorf("no worker can do %s", function)),
		"start one with gm work -f "+function+" -- COMMAND; without --require-worker the job waits for one")
}

// maxPayloadLimit is the largest --max-payload: 4095 MiB, which leaves room in a
// packet's 32-bit size for the other arguments. Where an int has 32 bits it is 1023
// MiB, as two payloads must fit in an outbox.
const maxPayloadLimit int64 = min(4095<<20, (math.MaxInt-1<<20)/2&^(1<<20-1))

// payloadFlag returns the flag that limits payloads and results; payloadLimit reads it.
func payloadFlag() cli.Flag {
	return cli.SizeFlag(gearman.DefaultMaxPayload, cli.GenericFlag{
		Name: "max-payload", Category: cli.CatServers,
		Usage: "accept payloads and parts of results up to `SIZE` bytes: 1000, 64K, 64M, 1G",
	})
}

func payloadLimit(c *cli.Context) (int, error) {
	n := cli.SizeOf(c, "max-payload")
	if n < 1 || n > maxPayloadLimit {
		return 0, cli.UsageErrorf("--max-payload %d: must be from 1 to %d", n, maxPayloadLimit)
	}
	return int(n), nil
}
