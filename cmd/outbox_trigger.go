package cmd

import (
	"cmp"
	"errors"

	"gm/cmd/cli"
	"gm/pkg/gearman"
	"gm/pkg/outbox"
)

// outboxDialects are the values of --for.
var outboxDialects = map[string]outbox.Dialect{"postgres": outbox.Postgres, "mysql": outbox.MySQL}

func (e *env) outboxTrigger() *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:  "trigger",
			Usage: "create or print a trigger that makes jobs of changed rows", ArgsUsage: "[URL]",
			Description: `Prints the statements for psql or mysql that create a trigger; --install runs them. With URL, or GM_OUTBOX, the columns and the kind of the database come from the database. With --for, it prints without a database. The trigger adds a row to the outbox for each changed row of a table. With --json, the workload is

  {"table": "T", "event": "update", "old": {"id": 1, ...}, "new": {"id": 1, ...}}

where old is null for an insert and new for a delete. Without --json, the workload is the value of one column, of the old row for a delete; a value that is NULL sends nothing. An update that changes none of the columns sends nothing, so a worker may write its result into another column of the row.

--install needs the right to create triggers and, in PostgreSQL, functions; in MySQL with a binary log also log_bin_trust_function_creators. MySQL's triggers have columns by name: create them again after a change of the table.`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "table", Usage: "watch the table `NAME` or SCHEMA.NAME; case counts"},
				&cli.StringSliceFlag{Name: "on", Usage: "send a job on `EVENT`: insert, update or delete; repeatable, or separated by commas"},
				&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "the jobs are for `FUNC`"},
				&cli.StringSliceFlag{Name: "columns", Usage: "send the column `NAME`; repeatable, or separated by commas (default all, which --for mysql cannot)"},
				&cli.StringSliceFlag{Name: "binary", Usage: "the column `NAME` has bytes, which JSON gets in hexadecimal after \\x; only needed with --for"},
				&cli.BoolFlag{Name: "json", Usage: "send the old and the new row as JSON"},
				&cli.StringFlag{Name: "job-priority", Value: "normal", Usage: "the jobs have the `PRIORITY` high, normal or low"},
				&cli.StringFlag{Name: "for", Usage: "print the statements for `DATABASE`, postgres or mysql, without connecting to one (default postgres without URL)"},
				&cli.BoolFlag{Name: "install", Usage: "create the trigger in the database, and print nothing"},
				&cli.StringFlag{Name: "name", Usage: "call the trigger `NAME`, and replace one of that name (default the table's name and _gearman)"},
				&cli.StringFlag{Name: "outbox", Usage: "the outbox is the table `NAME` or SCHEMA.NAME (default that of URL)"},
			},
			Action: func(c *cli.Context) error { return e.makeTrigger(c) },
		},
		Examples: []cli.Example{
			{What: "the path of each new file, in the database of GM_OUTBOX", Line: "gm outbox trigger --install --table files --on insert -f scan --columns path"},
			{What: "rows as JSON, for MySQL", Line: "gm outbox trigger --for mysql --table t --on delete -f scan --json --columns id"},
		},
		Exits: outboxExits,
	}
}

// makeTrigger is the action of gm outbox trigger.
func (e *env) makeTrigger(c *cli.Context) error {
	priority, err := gearman.ParsePriority(c.String("job-priority"))
	if err != nil {
		return cli.UsageErrorf("--job-priority: %w", err)
	}
	trigger := outbox.Trigger{
		Name: c.String("name"), Table: c.String("table"), Events: c.StringSlice("on"), Function: c.String("function"),
		Columns: c.StringSlice("columns"), Binary: c.StringSlice("binary"), JSON: c.Bool("json"),
		Priority: priority, Outbox: c.String("outbox"),
	}
	if c.IsSet("for") || c.NArg() == 0 && e.Getenv(outboxEnv) == "" {
		return e.printTrigger(c, trigger)
	}
	if err := checkTriggerFlags(c); err != nil {
		return err
	}
	return e.withOutbox(c, false, func(o *outboxCall) error {
		if c.Bool("install") {
			return triggerError(o.db.InstallTrigger(c.Context, trigger))
		}
		text, err := o.db.TriggerSQL(c.Context, trigger)
		if err != nil {
			return triggerError(err)
		}
		return e.printText(text)
	})
}

// checkTriggerFlags returns an error if flags are missing.
func checkTriggerFlags(c *cli.Context) error {
	for _, name := range []string{"table", "on", "function"} {
		if !c.IsSet(name) {
			return cli.UsageErrorf("outbox trigger: --%s is missing", name)
		}
	}
	if !c.Bool("json") && len(c.StringSlice("columns")) != 1 {
		return cli.WithHint(cli.UsageErrorf("outbox trigger: want --json, or one column in --columns"),
			"--json sends all columns, or those in --columns; without it the workload is the value of one column")
	}
	return nil
}

// triggerError returns an error about a trigger with its exit code, which differs for
// the errors of the database.
func triggerError(err error) error {
	if errors.As(err, new(*outbox.TriggerError)) {
		return cli.UsageErrorf("outbox trigger: %w", err)
	}
	return err
}

// printTrigger prints the statements of a trigger without a database.
func (e *env) printTrigger(c *cli.Context, trigger outbox.Trigger) error {
	switch {
	case c.IsSet("for") && c.NArg() > 0:
		return cli.UsageErrorf("--for cannot be used with a URL")
	case c.Bool("install") && c.IsSet("for"):
		return cli.UsageErrorf("--for cannot be used with --install")
	case c.Bool("install"):
		return cli.WithHint(cli.UsageErrorf("--install needs the URL of a database"), "gm help outbox describes the URL; "+outboxEnv+" may have it")
	}
	dialect, ok := outboxDialects[cmp.Or(c.String("for"), "postgres")]
	if !ok {
		return cli.UsageErrorf("--for %q: must be postgres or mysql", c.String("for"))
	}
	if err := checkTriggerFlags(c); err != nil {
		return err
	}
	text, err := trigger.SQL(dialect)
	if err != nil {
		return cli.UsageErrorf("outbox trigger: %w", err)
	}
	return e.printText(text)
}
