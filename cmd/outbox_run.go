package cmd

import (
	"fmt"
	"slices"

	"gm/cmd/cli"
	"gm/pkg/gearman"
	"gm/pkg/outbox"
)

func (e *env) outboxRun() *cli.Verb {
	return e.outboxCommand("run", "submit the jobs of an outbox until a signal", "[URL]",
		`Submits the jobs in the order of their ids, and deletes a row when the server has accepted its job. With gm serve --data or --store the job is then on disk. While the outbox is empty, it looks every 20 ms at first, and every second later; gm outbox install --notify wakes it earlier. While the database or all servers are away, it tries again after 100 ms at first, and every 30 s later, and logs a line when that begins and when it ends. At its start it fails at once if the database refuses the user or has no outbox. SIGTERM and SIGINT let the current batch end; then it logs the numbers of rows. A second signal ends it at once.

A job without a unique_key has a unique that names its row. If gm or the database is killed between the submission and the deletion, the next run submits the row again. A job that waits or runs is not doubled. A job that has ended is not repeated if the server still keeps its outcome, as gm serve does for ten minutes, or longer with --keep-results; otherwise, and with a unique_key, it runs again. The log has a warning if the server keeps none.

Several runs share the rows; then jobs keep their order only within a batch. A job that the servers refuse for its own sake (too large, invalid) is tried --max-attempts times. Then its row is dead: gm outbox dead lists it. The user needs the rights to select, update and delete; gm help sql has them in SQL.`,
		cli.Example{What: "with a server elsewhere", Line: "gm outbox run -s jobs.example.com postgres://app@db/app"},
		runOutbox,
		slices.Concat([]cli.Flag{
			&cli.IntFlag{Name: "max-attempts", Value: outbox.DefaultMaxAttempts, Usage: "give up a row after `N` refusals"},
			&cli.IntFlag{Name: "batch", Value: outbox.DefaultBatchRows, Usage: "submit at most `N` rows in one transaction"},
		}, e.connFlags())...)
}

// runOutbox is the action of gm outbox run.
func runOutbox(call *outboxCall) error {
	e, c, db := call.env, call.Context, call.db
	for _, name := range []string{"max-attempts", "batch"} {
		if c.Int(name) < 1 {
			return cli.UsageErrorf("--%s %d: must be 1 or more", name, c.Int(name))
		}
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	if err := db.Check(c.Context); outbox.IsDenied(err) || outbox.IsMissing(err) {
		return err // other errors may end while the relay waits
	}
	client, err := gearman.NewClient(withOnce(o))
	if err != nil {
		return fmt.Errorf("outbox run: %w", err)
	}
	defer client.Close()
	relay := &outbox.Relay{
		DB: db, Client: client, Logger: e.newWorkLog(c),
		MaxAttempts: c.Int("max-attempts"), BatchRows: c.Int("batch"),
	}
	return relay.Run(c.Context) // nil after a signal
}
