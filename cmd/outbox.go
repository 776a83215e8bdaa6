package cmd

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"gm/cmd/cli"
	"gm/pkg/gearman"
	"gm/pkg/outbox"
)

func outboxVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:  "outbox",
			Usage: "move jobs from a table of a database to the servers",
			Description: `An outbox is a table in PostgreSQL, MySQL or MariaDB. A program, or a trigger, adds a job to it in the transaction that changes its data. If the transaction is rolled back, the job was never there; if it is committed, gm outbox run submits the job and deletes its row. The database needs no extension.

URL is like that of a store: postgres://USER:PASSWORD@HOST:PORT/DB or mysql://USER:PASSWORD@HOST:PORT/DB. ?table=NAME or ?table=SCHEMA.NAME is the table, gearman_outbox by default; case counts.`,
		},
		Verbs: []*cli.Verb{e.outboxInstall(), e.outboxTrigger(), e.outboxRun(), e.outboxDead(), e.outboxRetry(), e.outboxPurge()},
		Examples: []cli.Example{
			{What: "create the table", Line: "gm outbox install postgres://app@db/app"},
			{What: "each new row of a table becomes a job", Line: "gm outbox trigger --table uploads --on insert --function resize --json | psql postgres://app@db/app"},
			{What: "submit the jobs", Line: "gm outbox run postgres://app@db/app"},
		},
		Exits: outboxExits,
	}
}

var outboxExits = []int{cli.ExitIO, cli.ExitRefused, cli.ExitSignal}

// outboxCommand returns a subcommand that calls do with the outbox of the first argument.
func (e *env) outboxCommand(name, usage, args, description string, x cli.Example, do func(*cli.Context, *outbox.DB) error, flags ...cli.Flag) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name: name, Usage: usage, ArgsUsage: args, Description: description, Flags: flags,
			Action: func(c *cli.Context) error { return withOutbox(c, do) },
		},
		Examples: []cli.Example{x},
		Exits:    outboxExits,
	}
}

// withOutbox calls do with the outbox that the first argument names.
func withOutbox(c *cli.Context, do func(*cli.Context, *outbox.DB) error) error {
	verb := c.Command.Name
	many := verb == "retry" || verb == "purge"
	if c.NArg() == 0 || c.NArg() > 1 && !many {
		return cli.WithHint(cli.UsageErrorf("outbox %s: %d arguments, want the URL of one database", verb, c.NArg()), "gm help outbox describes the URL")
	}
	db, err := outbox.Open(c.Args().First(), outbox.Config{})
	if err != nil {
		return cli.UsageErrorf("outbox %s: %w", verb, err)
	}
	defer db.Close()
	return do(c, db)
}

// outboxError returns an error of the database with its exit code.
func outboxError(c *cli.Context, err error) error {
	if err == nil || c.Context.Err() != nil {
		return err
	}
	return cli.ExitWith(cli.ExitIO, fmt.Errorf("outbox %s: %w", c.Command.Name, err))
}

func (e *env) outboxInstall() *cli.Verb {
	return e.outboxCommand("install", "create the table of an outbox", "URL",
		`Creates the table, a small one with its token, and functions that add a row. An existing table stays, with its rows. The user needs the right to create tables and functions; in MySQL with a binary log, functions and triggers also need log_bin_trust_function_creators.

PostgreSQL: gman_enqueue(function, workload, unique_key, priority, run_at) for text and bytea; the last three arguments can be left out. MySQL: gman_enqueue(function, workload), and gman_enqueue_with with all five. priority is 1 (high), 0 or -1 (low). run_at, UTC in MySQL, delays the job; its priority must be 0. The functions of another table than gearman_outbox are called TABLE_enqueue. A plain INSERT does the same.`,
		cli.Example{What: "read the statements first", Line: "gm outbox install --print postgres://app@db/app"},
		func(c *cli.Context, db *outbox.DB) error {
			if c.Bool("print") {
				_, err := io.WriteString(e.Stdout, db.Schema())
				return err
			}
			return outboxError(c, db.Install(c.Context))
		},
		&cli.BoolFlag{Name: "print", Usage: "print the statements for psql or mysql, and change nothing"})
}

// outboxDialects are the values of --for.
var outboxDialects = map[string]outbox.Dialect{"postgres": outbox.Postgres, "mysql": outbox.MySQL}

func (e *env) outboxTrigger() *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:  "trigger",
			Usage: "print a trigger that makes jobs of changed rows",
			Description: `Prints the statements for psql or mysql that create a trigger. It adds a row to the outbox for each changed row of a table. With --json, the workload is

  {"table": "T", "event": "update", "old": {"id": 1, ...}, "new": {"id": 1, ...}}

where old is null for an insert and new for a delete. Without --json, the workload is the value of one column, of the old row for a delete; a value that is NULL sends nothing. An update that changes none of the columns sends nothing, so a worker may write its result into another column of the row.`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "table", Usage: "watch the table `NAME` or SCHEMA.NAME; case counts"},
				&cli.StringSliceFlag{Name: "on", Usage: "send a job on `EVENT`: insert, update or delete; repeatable, or separated by commas"},
				&cli.StringFlag{Name: "function", Aliases: []string{"f"}, Usage: "the jobs are for `FUNC`"},
				&cli.StringSliceFlag{Name: "columns", Usage: "send the column `NAME`; repeatable, or separated by commas (default all, which MySQL cannot)"},
				&cli.StringSliceFlag{Name: "binary", Usage: "the column `NAME` has bytes, which JSON gets in hexadecimal after \\x; PostgreSQL needs it only without --json"},
				&cli.BoolFlag{Name: "json", Usage: "send the old and the new row as JSON"},
				&cli.StringFlag{Name: "job-priority", Value: "normal", Usage: "the jobs have the `PRIORITY` high, normal or low"},
				&cli.StringFlag{Name: "for", Value: "postgres", Usage: "print the statements for `DATABASE`: postgres or mysql"},
				&cli.StringFlag{Name: "name", Usage: "call the trigger `NAME` (default the table's name and _gearman)"},
				&cli.StringFlag{Name: "outbox", Value: outbox.DefaultTable, Usage: "the outbox is the table `NAME` or SCHEMA.NAME"},
			},
			Action: func(c *cli.Context) error { return e.printTrigger(c) },
		},
		Examples: []cli.Example{
			{What: "the path of each new file", Line: "gm outbox trigger --table files --on insert -f scan --columns path"},
			{What: "rows as JSON, in MySQL", Line: "gm outbox trigger --for mysql --table files --on insert,delete -f scan --json --columns id,path"},
		},
		Exits: []int{cli.ExitIO},
	}
}

// printTrigger is the action of gm outbox trigger.
func (e *env) printTrigger(c *cli.Context) error {
	if err := cli.NoArgs(c); err != nil {
		return err
	}
	dialect, ok := outboxDialects[c.String("for")]
	if !ok {
		return cli.UsageErrorf("--for %q: must be postgres or mysql", c.String("for"))
	}
	priority, err := gearman.ParsePriority(c.String("job-priority"))
	if err != nil {
		return cli.UsageErrorf("--job-priority: %w", err)
	}
	text, err := outbox.Trigger{
		Name: c.String("name"), Table: c.String("table"), Events: c.StringSlice("on"), Function: c.String("function"),
		Columns: c.StringSlice("columns"), Binary: c.StringSlice("binary"), JSON: c.Bool("json"),
		Priority: priority, Outbox: c.String("outbox"),
	}.SQL(dialect)
	if err != nil {
		return cli.UsageErrorf("outbox trigger: %w", err)
	}
	_, err = io.WriteString(e.Stdout, text)
	return err
}

func (e *env) outboxRun() *cli.Verb {
	v := e.outboxCommand("run", "submit the jobs of an outbox until a signal", "URL",
		`Submits the jobs in the order of their ids, and deletes a row when the server has accepted its job. With gm serve --data or --store the job is then on disk. While the outbox is empty, it looks every 20 ms at first, and every second later. While the database or all servers are away, it tries again after 100 ms at first, and every 30 s later, and logs a line when that begins and when it ends. SIGTERM and SIGINT let the current batch end.

A job without a unique_key has a unique that names its row. If gm or the database is killed between the submission and the deletion, the next run submits the row again: a job that waits or runs is not doubled, but one that has ended runs again.

Several runs share the rows; then jobs keep their order only within a batch. A job that the servers refuse for its own sake (too large, invalid) is tried --max-attempts times. Then its row is dead: gm outbox dead lists it. The user needs the rights to select, update and delete.`,
		cli.Example{What: "with a server elsewhere", Line: "gm outbox run -s jobs.example.com postgres://app@db/app"},
		e.runOutbox,
		slices.Concat([]cli.Flag{
			&cli.IntFlag{Name: "max-attempts", Value: outbox.DefaultMaxAttempts, Usage: "give up a row after `N` refusals"},
			&cli.IntFlag{Name: "batch", Value: outbox.DefaultBatchRows, Usage: "submit at most `N` rows in one transaction"},
		}, e.connFlags())...)
	v.Exits = []int{cli.ExitIO, cli.ExitRefused}
	v.OwnSignals = true
	return v
}

// runOutbox is the action of gm outbox run.
func (e *env) runOutbox(c *cli.Context, db *outbox.DB) error {
	for _, name := range []string{"max-attempts", "batch"} {
		if c.Int(name) < 1 {
			return cli.UsageErrorf("--%s %d: must be 1 or more", name, c.Int(name))
		}
	}
	o, err := e.options(c)
	if err != nil {
		return err
	}
	client, err := gearman.NewClient(o)
	if err != nil {
		return fmt.Errorf("outbox run: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	defer cli.OnSignals(func(syscall.Signal) { cancel() }, syscall.SIGINT, syscall.SIGTERM)()
	relay := &outbox.Relay{
		DB: db, Client: client, Logger: e.newWorkLog(c),
		MaxAttempts: c.Int("max-attempts"), BatchRows: c.Int("batch"),
	}
	return relay.Run(ctx)
}

// deadRow is a row that gm outbox dead prints.
type deadRow struct {
	ID       int64  `json:"id"`
	Function string `json:"function"`
	Unique   string `json:"unique,omitempty"`
	Size     int64  `json:"size"`
	Attempts int    `json:"attempts"`
	DiedMS   int64  `json:"died_ms"`
	Error    string `json:"error"`
}

var deadColumns = []cli.Column{
	{Name: "id", Right: true},
	functionColumn,
	{Name: "unique"},
	{Name: "size", Right: true},
	{Name: "attempts", Right: true},
	{Name: "died", Right: true},
	{Name: "error"},
}

func (r *deadRow) Cells(bool) []string {
	return []string{
		strconv.FormatInt(r.ID, 10), r.Function, r.Unique, strconv.FormatInt(r.Size, 10), strconv.Itoa(r.Attempts),
		strconv.FormatInt(r.DiedMS, 10), r.Error,
	}
}

func (e *env) outboxDead() *cli.Verb {
	return e.outboxCommand("dead", "list the dead rows of an outbox", "URL",
		`Lists the rows that gm outbox run has given up, the oldest first. Columns of tsv: id, function, unique, size of the workload in bytes, attempts, when it died in Unix milliseconds, last error.`,
		cli.Example{What: "the errors", Line: "gm outbox dead -o tsv postgres://app@db/app | cut -f1,7"},
		func(c *cli.Context, db *outbox.DB) error {
			w, err := e.NewRows(c, deadColumns...)
			if err != nil {
				return err
			}
			rows, err := db.Dead(c.Context, 0, c.Int("limit"))
			if err != nil {
				return outboxError(c, err)
			}
			for _, r := range rows {
				if err := w.Add(&deadRow{r.ID, r.Function, r.Unique, r.Size, r.Attempts, r.Dead.UnixMilli(), r.LastError}); err != nil {
					return err
				}
			}
			return w.Close()
		},
		append(e.RowFlags(), &cli.IntFlag{Name: "limit", Aliases: []string{"n"}, Value: 100, Usage: "list at most `N` rows; 0 lists all"})...)
}

func (e *env) outboxRetry() *cli.Verb {
	return e.outboxCommand("retry", "submit dead rows of an outbox again", "URL [ID..]",
		`Makes gm outbox run submit dead rows again, and counts their attempts from zero. Prints the number of rows.`,
		cli.Example{What: "all of them", Line: "gm outbox retry --all postgres://app@db/app"},
		func(c *cli.Context, db *outbox.DB) error { return e.changeDeadRows(c, db.RetryDead) },
		&cli.BoolFlag{Name: "all", Usage: "retry all dead rows"})
}

func (e *env) outboxPurge() *cli.Verb {
	return e.outboxCommand("purge", "delete dead rows of an outbox", "URL [ID..]",
		`Deletes dead rows and prints their number.`,
		cli.Example{What: "all of them", Line: "gm outbox purge --all --yes postgres://app@db/app"},
		func(c *cli.Context, db *outbox.DB) error {
			what := "the dead rows " + strings.Join(c.Args().Tail(), ", ")
			if c.Bool("all") {
				what = "all dead rows"
			}
			if err := e.Confirm(c.Bool("yes"), "delete "+what); err != nil {
				return err
			}
			return e.changeDeadRows(c, db.PurgeDead)
		},
		&cli.BoolFlag{Name: "all", Usage: "delete all dead rows"}, cli.YesFlag())
}

// changeDeadRows changes the dead rows that the arguments name, or all, and prints their
// number. If rows are named and some are not dead, it fails.
func (e *env) changeDeadRows(c *cli.Context, change func(context.Context, ...int64) (int, error)) error {
	var ids []int64
	for _, arg := range c.Args().Tail() {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return cli.UsageErrorf("outbox %s: id %q: not a number", c.Command.Name, arg)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if c.Bool("all") == (len(ids) > 0) {
		return cli.UsageErrorf("outbox %s: want ids, or --all for all dead rows", c.Command.Name)
	}
	n, err := change(c.Context, ids...)
	if err != nil {
		return outboxError(c, err)
	}
	if err := e.PrintLine(strconv.Itoa(n)); err != nil {
		return err
	}
	if n < len(ids) {
		return cli.ExitWith(cli.ExitRefused, fmt.Errorf("outbox %s: %d of %d rows are not dead", c.Command.Name, len(ids)-n, len(ids)))
	}
	return nil
}
