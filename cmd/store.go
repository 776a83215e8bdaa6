package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"gm/pkg/store"
	"gm/pkg/store/open"
)

func storeVerb(e *env) *verb {
	return &verb{
		Command: &cli.Command{
			Name:  "store",
			Usage: "verify, shrink or move what a job server has stored",
			Description: `Works on a store while no server has it: as long as one does, it says which, and exits with 75. Stores are named as for gm serve --store:

` + open.Forms,
		},
		verbs: []*verb{e.storeCheck(), e.storeCompact(), e.storeDump(), e.storeLoad()},
		examples: []example{
			{"is it whole?", "gm store check disk:/var/lib/gm"},
			{"from a file to a database", "gm store dump sqlite:/var/lib/gearmand.db | gm store load postgres://gm@db/jobs"},
		},
		exits: storeExits,
	}
}

var storeExits = []int{exitFailed, exitIO, exitAgain, exitRefused, exitSignal}

// storeCommand returns a subcommand that does something to an open store,
// which nobody else has.
func (e *env) storeCommand(name, usage, description string, examples []example, do func(*storeCall) error, flags ...cli.Flag) *verb {
	return &verb{
		Command: &cli.Command{
			Name: name, Usage: usage, ArgsUsage: "URL", Description: description, Flags: flags,
			Action: func(c *cli.Context) error { return e.withStore(c, do) },
		},
		examples: examples,
		exits:    storeExits,
	}
}

// storeCall is a run of one of the subcommands.
type storeCall struct {
	*env
	*cli.Context
	place *open.Place
	store.Store
	bad int // things that are wrong
}

// fail adds the command and the name of the store to err.
func (s *storeCall) fail(err error) error {
	return fmt.Errorf("store %s %s: %w", s.Command.Name, s.place.Name(), err)
}

// cannot is the error of a store that has not the ability for a command.
func (s *storeCall) cannot(what string) error {
	return usageErrorf("store %s: %s %s", s.Command.Name, s.place.Name(), what)
}

// withStore opens the store that the argument names, locks it, and closes it
// after do. Except for store load, the store must exist, and nothing is created in
// a database.
func (e *env) withStore(c *cli.Context, do func(*storeCall) error) error {
	verb := c.Command.Name
	if c.NArg() != 1 {
		return withHint(usageErrorf("store %s: %d arguments, want the URL of one store", verb, c.NArg()), "gm help store has the kinds of URL")
	}
	place, err := open.Parse(c.Args().First())
	if err != nil {
		return openError(err)
	}
	if verb != "load" {
		if place.Missing() {
			return exitWith(exitIO, fmt.Errorf("store %s: store %s: no such file", verb, strings.TrimSuffix(place.Name(), "/")))
		}
		place.AsIs = true
	}
	s := &storeCall{env: e, Context: c, place: place}
	// A thing that the driver sets aside when it opens the file is wrong as well.
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
		return withHint(exitWith(exitAgain, s.fail(held)), "stop that one, and try again")
	}
	if err == nil || errors.As(err, new(*exitError)) || errors.As(err, new(*outputError)) || c.Context.Err() != nil {
		return err
	}
	return exitWith(exitIO, s.fail(err))
}

// wrong counts a thing that is wrong and prints it: check on stdout, where it
// is the answer, the others on stderr.
func (s *storeCall) wrong(what string) {
	s.bad++
	if s.Command.Name == "check" {
		s.printLine(printable(what, false)) //nolint:errcheck // the exit code tells it too
		return
	}
	s.note("%s", what)
}

func (e *env) storeCheck() *verb {
	return e.storeCommand("check", "verify a store",
		`Reads all that the store has and prints a line for each thing that is wrong; nothing, and exit 0, if nothing is. It changes nothing, but that a file that is broken is put right as a server would put it right at its start: what can't be read is set aside in a file beside it. In a database that has no table of the name, none is made: that is an error.`,
		[]example{{"from cron", "gm store check disk:/var/lib/gm || echo 'look after the queue'"}},
		func(s *storeCall) error {
			checker, ok := s.Store.(store.Checker)
			if !ok {
				return s.cannot("can't be verified")
			}
			if err := checker.Check(s.Context.Context, s.wrong); err != nil {
				return err
			}
			if s.bad > 0 {
				return exitWith(exitFailed, nil)
			}
			return nil
		})
}

func (e *env) storeCompact() *verb {
	return e.storeCommand("compact", "give back the room of what a store has forgotten",
		`Shrinks the store to what it needs. A server with a disk store does it by itself after a large backlog.`,
		[]example{{"after a bad week", "gm store compact sqlite:/var/lib/gm/queue.db"}},
		func(s *storeCall) error {
			compacter, ok := s.Store.(store.Compacter)
			if !ok {
				return s.cannot("has nothing to give back")
			}
			return compacter.Compact(s.Context.Context)
		})
}

// listed returns an error for a store that cannot list its contents.
func (s *storeCall) listed() error {
	if !s.Caps().Lists {
		return s.cannot("does not list what it has")
	}
	return nil
}
