package cmd

import (
	"errors"
	"fmt"
	"strings"

	"gm/cmd/cli"
	"gm/pkg/store"
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
			{What: "look for damage", Line: "gm store check disk:/var/lib/gm"},
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
	bad int // number of faults
}

// fail adds the command and the name of the store to err.
func (s *storeCall) fail(err error) error {
	return fmt.Errorf("store %s %s: %w", s.Command.Name, s.place.Name(), err)
}

// cannot returns the error of a store that does not support a command.
func (s *storeCall) cannot(what string) error {
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
	place.Skipped = func(what string, err error) { s.wrong(fmt.Sprintf("set aside: %s: %v", what, err)) }
	if s.Store, err = place.Open(c.Context); err != nil {
		return fmt.Errorf("store %s: %w", verb, openError(err))
	}
	err = open.Lock(c.Context, s.Store, "gm store "+verb)
	if err == nil {
		err = do(s)
	}
	err = errors.Join(err, open.Close(s.Store))
	if held := new(store.HeldError); errors.As(err, &held) {
		return cli.WithHint(cli.ExitWith(cli.ExitAgain, s.fail(held)), "stop that server, then try again")
	}
	if err == nil || errors.As(err, new(*cli.ExitError)) || errors.As(err, new(*cli.OutputError)) || c.Context.Err() != nil {
		return err
	}
	return cli.ExitWith(cli.ExitIO, s.fail(err))
}

// wrong counts a fault and prints it, on stdout for store check, whose answer it is, and
// on stderr for the other commands.
func (s *storeCall) wrong(what string) {
	s.bad++
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
				return s.cannot("cannot be verified")
			}
			if err := checker.Check(s.Context.Context, s.wrong); err != nil {
				return err
			}
			if s.bad > 0 {
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
				return s.cannot("cannot be compacted")
			}
			return compacter.Compact(s.Context.Context)
		})
}

// listed returns an error for a store that cannot list its contents.
func (s *storeCall) listed() error {
	if !s.Caps().Lists {
		return s.cannot("cannot list its jobs")
	}
	return nil
}
