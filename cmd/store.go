package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/store"
	"gm/pkg/store/dump"
	"gm/pkg/store/open"
)

func storeVerb(e *env) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name:  "store",
			Usage: "verify, shrink or move the store of a job server",
			Description: `Works on a store that no server uses. If a server uses it, the command names that server and exits with 75. Stores are named as in gm serve --store:

` + open.Forms,
		},
		Verbs: []*cli.Verb{e.storeCheck(), e.storeCompact(), e.storeDump(), e.storeLoad()},
		Examples: []cli.Example{
			{What: "check for damage", Line: "gm store check disk:/var/lib/gm"},
			{What: "move the queue from a file to a database", Line: "gm store dump sqlite:/var/lib/gearmand.db | gm store load postgres://gm@db/jobs"},
		},
		Exits: storeExits,
	}
}

var storeExits = []int{cli.ExitFailed, cli.ExitIO, cli.ExitAgain, cli.ExitRefused, cli.ExitSignal}

// storeCommand returns a subcommand that calls do with an open store, which this process
// has locked.
func (e *env) storeCommand(name, usage, description string, examples []cli.Example, do func(*storeCall) error, flags ...cli.Flag) *cli.Verb {
	return &cli.Verb{
		Command: &cli.Command{
			Name: name, Usage: usage, ArgsUsage: "URL", Description: description, Flags: flags,
			Action: func(c *cli.Context) error { return e.withStore(c, do) },
		},
		Examples: examples,
		Exits:    storeExits,
	}
}

// storeCall is a run of one of the subcommands.
type storeCall struct {
	*env
	*cli.Context
	place *open.Place
	store.Store
	faults int
}

// withName adds the command and the name of the store to err.
func (s *storeCall) withName(err error) error {
	return fmt.Errorf("store %s %s: %w", s.Command.Name, s.place.Name(), err)
}

// unsupported returns the error of a store that does not support a command.
func (s *storeCall) unsupported(what string) error {
	return cli.UsageErrorf("store %s: %s %s", s.Command.Name, s.place.Name(), what)
}

// withStore opens the store that the argument names, locks it, and closes it
// after do. Except for store load, the store must exist, and nothing is created in
// a database.
func (e *env) withStore(c *cli.Context, do func(*storeCall) error) error {
	verb := c.Command.Name
	if c.NArg() != 1 {
		return cli.WithHint(cli.UsageErrorf("store %s: %d arguments, want the URL of one store", verb, c.NArg()), "gm help store lists the forms of a URL")
	}
	place, err := open.Parse(c.Args().First())
	if err != nil {
		return openError(err)
	}
	if verb != "load" {
		if place.Missing() {
			return cli.ExitWith(cli.ExitIO, fmt.Errorf("store %s: store %s: no such file", verb, strings.TrimSuffix(place.Name(), "/")))
		}
		place.AsIs = true
	}
	s := &storeCall{env: e, Context: c, place: place}
	// A record that the driver sets aside when it opens the file is a fault as well.
	place.Skipped = func(what string, err error) { s.reportFault(fmt.Sprintf("set aside: %s: %v", what, err)) }
	if s.Store, err = place.Open(c.Context); err != nil {
		return fmt.Errorf("store %s: %w", verb, openError(err))
	}
	err = open.Lock(c.Context, s.Store, "gm store "+verb)
	if err == nil {
		err = do(s)
	}
	err = errors.Join(err, open.Close(s.Store))
	if held := new(store.HeldError); errors.As(err, &held) {
		return cli.WithHint(cli.ExitWith(cli.ExitAgain, s.withName(held)), "stop that server, then try again")
	}
	if err == nil || errors.As(err, new(*cli.ExitError)) || errors.As(err, new(*cli.OutputError)) || c.Context.Err() != nil {
		return err
	}
	return cli.ExitWith(cli.ExitIO, s.withName(err))
}

// openError returns an error of opening or acquiring a store with its exit code and hint.
func openError(err error) error {
	wrong := new(open.UsageError)
	switch {
	case errors.As(err, new(*cli.ExitError)):
		return err
	case errors.As(err, &wrong):
		return cli.WithHint(cli.ExitWith(cli.ExitUsage, err), wrong.Hint)
	case errors.Is(err, store.ErrAbsent):
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "gm serve, gm store load and gearmand create the store that they need")
	case errors.As(err, new(*store.AwayError)):
		return cli.WithHint(cli.ExitWith(cli.ExitIO, err), "gm serve --store-wait 5m waits for a store that starts later")
	}
	return cli.ExitWith(cli.ExitIO, err)
}

// reportFault counts a fault and prints it: on stdout for store check, on stderr for the
// other commands.
func (s *storeCall) reportFault(what string) {
	s.faults++
	if s.Command.Name == "check" {
		s.PrintLine(cli.Printable(what, false)) //nolint:errcheck // the exit code reports it too
		return
	}
	s.note("%s", what)
}

func (e *env) storeCheck() *cli.Verb {
	return e.storeCommand("check", "verify a store",
		`Reads the whole store and prints a line for each fault. Without faults it prints nothing and exits with 0. It changes nothing, with one exception: it repairs a broken file as a server does at its start, and moves unreadable records to a file next to it. A database without the table is an error; the table is not created.`,
		[]cli.Example{{What: "from cron", Line: "gm store check disk:/var/lib/gm || echo 'the queue is damaged'"}},
		func(s *storeCall) error {
			checker, ok := s.Store.(store.Checker)
			if !ok {
				return s.unsupported("cannot be verified")
			}
			if err := checker.Check(s.Context.Context, s.reportFault); err != nil {
				return err
			}
			if s.faults > 0 {
				return cli.ExitWith(cli.ExitFailed, nil)
			}
			return nil
		})
}

func (e *env) storeCompact() *cli.Verb {
	return e.storeCommand("compact", "free the space of deleted jobs",
		`Shrinks the store to the size that its jobs need. A server with a disk store does this on its own after a large backlog.`,
		[]cli.Example{{What: "after a large backlog", Line: "gm store compact sqlite:/var/lib/gm/queue.db"}},
		func(s *storeCall) error {
			compacter, ok := s.Store.(store.Compacter)
			if !ok {
				return s.unsupported("cannot be compacted")
			}
			return compacter.Compact(s.Context.Context)
		})
}

// requireLists returns an error for a store that cannot list its contents.
func (s *storeCall) requireLists() error {
	if !s.Caps().Lists {
		return s.unsupported("cannot list its jobs")
	}
	return nil
}

// dumpLines is the help on the lines of a dump.
const dumpLines = `Each line is a JSON object. A job has the fields function, payload (base64) and, unless they are empty, unique, reducer, priority (high or low; else normal), seq (its number, the order of the jobs), run_at_ms and accepted_ms (Unix times in milliseconds), attempts (the failed ones) and failures (those of them without a lost worker). A name that is not UTF-8 is in function_base64, unique_base64 or reducer_base64 instead. Extras (dead jobs, results, policies) have the fields extra (the key) and value (base64). The last line has end (true) and the numbers of jobs and extras. Later versions may add fields; unknown fields are ignored.`

func (e *env) storeDump() *cli.Verb {
	return e.storeCommand("dump", "print a store as JSON lines",
		`Prints the jobs in their order, then the extras: dead jobs, results, policies. gm store load reads the lines, and other programs can. Unreadable records are left out and reported on stderr, and the exit code is 1.

`+dumpLines,
		[]cli.Example{
			{What: "a backup", Line: "gm store dump disk:/var/lib/gm | gzip >queue.jsonl.gz"},
			{What: "the number of jobs of each function", Line: `gm store dump disk:/var/lib/gm | grep -o '"function":"[^"]*"' | sort | uniq -c`},
		},
		dumpStore)
}

// dumpStore is the action of store dump.
func dumpStore(s *storeCall) error {
	if err := s.requireLists(); err != nil {
		return err
	}
	if err := dump.Write(s.Context.Context, s.Stdout, s.Store); err != nil {
		return err
	}
	if s.faults > 0 {
		return cli.ExitWith(cli.ExitFailed, s.withName(fmt.Errorf("unreadable records left out: %d", s.faults)))
	}
	return nil
}

func (e *env) storeLoad() *cli.Verb {
	return e.storeCommand("load", "load the lines of gm store dump into a store",
		`Reads stdin. Jobs keep their numbers, and with them their handles and their order. The store must be empty, unless --merge adds to it. Then a job that the store has already is not changed, a job with the unique of a waiting job joins it, as in a server, and a job with the number of another job gets the next free number. An extra that the store has already is not changed, except the highest number of a job, of which the higher one is kept. A job without seq is new and comes last.

It fails if the last line, with the number of jobs, is missing or wrong: then the dump is incomplete. The lines before that are loaded. --partial accepts selected lines, and lines of other programs.

Prints one row: jobs added, extras added, jobs joined, jobs that the store had already.

`+dumpLines,
		[]cli.Example{
			{What: "move a queue from Redis to a directory", Line: "gm store dump redis://localhost/0 | gm store load disk:/var/lib/gm"},
			{What: "only the jobs of one function", Line: `gm store dump disk:old | grep '"function":"resize"' | gm store load --partial disk:new`},
		},
		loadStore,
		append([]cli.Flag{
			&cli.BoolFlag{Name: "merge", Usage: "add to a store that is not empty"},
			&cli.BoolFlag{Name: "partial", Usage: "accept lines that are not a whole dump"},
		}, e.RowFlags()...)...)
}

// loadedRow is the row that store load prints.
type loadedRow struct{ dump.Counts }

var loadedColumns = []cli.Column{{Name: "jobs", Right: true}, {Name: "extras", Right: true}, {Name: "joined", Right: true}, {Name: "there", Right: true}}

func (r loadedRow) Cells(bool) []string {
	return []string{strconv.Itoa(r.Jobs), strconv.Itoa(r.Extras), strconv.Itoa(r.Joined), strconv.Itoa(r.There)}
}

// loadStore is the action of store load.
func loadStore(s *storeCall) error {
	rows, err := s.NewRows(s.Context, loadedColumns...)
	if err != nil {
		return err
	}
	l, err := dump.NewLoader(s.Context.Context, s.Store, s.Bool("merge"))
	if errors.Is(err, dump.ErrNotEmpty) {
		return cli.WithHint(cli.ExitWith(cli.ExitRefused, s.withName(err)), "--merge adds to its jobs")
	}
	if err != nil {
		return err
	}
	err = l.Load(s.Context.Context, s.Stdin)
	if err == nil && !l.Complete() && !s.Bool("partial") {
		err = cli.WithHint(cli.ExitWith(cli.ExitIO, s.withName(errors.New("the last line is missing: the dump may be incomplete; the lines up to here are loaded"))),
			"load the whole dump again with --merge, or use --partial if no lines are missing")
	}
	if addErr := rows.Add(loadedRow{l.Counts()}); err == nil {
		err = addErr
	}
	if closeErr := rows.Close(); err == nil {
		err = closeErr
	}
	return err
}
