package cmd

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/outbox"
)

func outboxVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:  "outbox",
			Usage: "move jobs from a table of a database to the servers",
			Description: `An outbox is a table in PostgreSQL, MySQL or MariaDB. A program, or a trigger, adds a job to it in the transaction that changes its data. If the transaction is rolled back, the job was never there; if it is committed, gm outbox run submits the job and deletes its row. gm serve --outbox does the same inside the server. The database needs no extension. gm help sql is a manual with examples.

URL is like that of a store: postgres://USER:PASSWORD@HOST:PORT/DB or mysql://USER:PASSWORD@HOST:PORT/DB. ?table=NAME or ?table=SCHEMA.NAME is the table, gearman_outbox by default; case counts. Without URL, the commands use GM_OUTBOX, which does not show a password in the list of processes. Values that the URL of PostgreSQL leaves out come from PGHOST, PGPASSWORD, ~/.pgpass and the like.`,
		},
		Verbs: []*cli.Verb{
			e.outboxInstall(), e.outboxTrigger(), e.outboxRun(), e.outboxStatus(), e.outboxDead(), e.outboxRetry(), e.outboxPurge(),
		},
		Examples: []cli.Example{
			{What: "create the table", Line: "gm outbox install postgres://app@db/app"},
			{What: "each new row of a table becomes a job", Line: "gm outbox trigger --install --table uploads --on insert --function resize --json postgres://app@db/app"},
			{What: "submit the jobs", Line: "gm outbox run postgres://app@db/app"},
		},
		Exits: outboxExits,
	}
}

var outboxExits = []int{cli.ExitIO, cli.ExitRefused, cli.ExitSignal}

// outboxEnv is the variable with the URL of the outbox.
const outboxEnv = "GM_OUTBOX"

// outboxCall is a run of one of the subcommands.
type outboxCall struct {
	*env
	*cli.Context
	db   *outbox.DB
	args []string // after the URL
}

// outboxCommand returns a subcommand that calls do with the outbox of the first argument
// or of GM_OUTBOX.
func (e *env) outboxCommand(name, usage, args, description string, x cli.Example, do func(*outboxCall) error, flags ...cli.Flag) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name: name, Usage: usage, ArgsUsage: args, Description: description, Flags: flags,
			Action: func(c *cli.Context) error { return e.withOutbox(c, strings.Contains(args, "ID"), do) },
		},
		Examples: []cli.Example{x},
		Exits:    outboxExits,
	}
}

// withOutbox opens the outbox that the first argument or GM_OUTBOX names, and closes it
// after do. With ids, other arguments may follow, and a number is one of them.
func (e *env) withOutbox(c *cli.Context, ids bool, do func(*outboxCall) error) error {
	verb := c.Command.Name
	url, args := e.Getenv(outboxEnv), c.Args().Slice()
	from := outboxEnv + ": "
	if len(args) > 0 && !(ids && isNumber(args[0])) {
		url, from, args = args[0], "", args[1:]
	}
	if url == "" || len(args) > 0 && !ids {
		return cli.WithHint(cli.UsageErrorf("outbox %s: %d arguments, want the URL of one database", verb, c.NArg()),
			"gm help outbox describes the URL; "+outboxEnv+" may have it")
	}
	db, err := outbox.Open(url, outbox.Config{})
	if err != nil {
		return cli.UsageErrorf("outbox %s: %s%w", verb, from, err)
	}
	defer db.Close()
	call := &outboxCall{env: e, Context: c, db: db, args: args}
	return call.withName(do(call))
}

// isNumber reports whether a text has only digits.
func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// withName adds the command to an error of the database, with its exit code and hint.
func (o *outboxCall) withName(err error) error {
	if err == nil || errors.As(err, new(*cli.ExitError)) || errors.As(err, new(*cli.OutputError)) || o.Context.Context.Err() != nil {
		return err
	}
	return outboxError(o.Command.Name, err)
}

// outboxError returns an error of the database with its exit code and hint.
func outboxError(verb string, err error) error {
	err = fmt.Errorf("outbox %s: %w", verb, err)
	switch {
	case outbox.IsDenied(err):
		return cli.WithHint(cli.ExitWith(cli.ExitRefused, err), "check the user and the password; gm help sql has the rights that a user needs")
	case outbox.IsMissing(err) && verb != "install" && verb != "trigger":
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "gm outbox install creates the table")
	}
	return cli.ExitWith(cli.ExitIO, err)
}

func (e *env) outboxInstall() *cli.Verb {
	return e.outboxCommand("install", "create the table of an outbox", "[URL]",
		`Creates the table, a small one with its token, and functions that add a row. An existing table stays, with its rows. The user needs the right to create tables and functions; in MySQL with a binary log, functions and triggers also need log_bin_trust_function_creators.

PostgreSQL: gman_enqueue(function, workload, unique_key, priority, run_at) for text and bytea; the last three arguments can be left out. MySQL: gman_enqueue(function, workload), and gman_enqueue_with with all five. priority is 1 (high), 0 or -1 (low). run_at, UTC in MySQL, delays the job; its priority must be 0. The functions of another table than gearman_outbox are called TABLE_enqueue. A plain INSERT does the same.

With --notify, a relay that was idle submits a row after milliseconds, not after up to a second. But then transactions that add rows commit one after the other, because NOTIFY holds a lock until the commit is on disk. A busy outbox is faster without it. A running relay listens within 30 s. PgBouncer must not pool its transactions.`,
		cli.Example{What: "read the statements first", Line: "gm outbox install --print postgres://app@db/app"},
		func(o *outboxCall) error {
			text := o.db.Schema()
			if o.IsSet("notify") {
				notify, err := o.db.NotifySchema(o.Bool("notify"))
				if err != nil {
					return cli.UsageErrorf("--notify: %w", err)
				}
				text += notify
			}
			if o.Bool("print") {
				return o.printText(text)
			}
			if err := o.db.Install(o.Context.Context); err != nil || !o.IsSet("notify") {
				return err
			}
			return o.db.InstallNotify(o.Context.Context, o.Bool("notify"))
		},
		&cli.BoolFlag{Name: "print", Usage: "print the statements for psql or mysql, and change nothing"},
		&cli.BoolFlag{Name: "notify", Usage: "also create a trigger that notifies idle relays, for PostgreSQL; --notify=false removes it"})
}

// printText writes SQL to stdout.
func (e *env) printText(text string) error {
	_, err := io.WriteString(e.Stdout, text)
	return err
}
