// Package cmd is the command line of gm: a table of verbs, a file each. It is
// the only package that prints, colours and chooses exit codes.
//
// A verb is a function from the environment to a [verb]: flags, help and an
// action. The action returns an error; exit.go turns it into a message and an
// exit code, and nothing else does. Rows go out through output.go, servers
// come from servers.go. Arguments are taken apart by args.go; urfave/cli has the
// types of flags. help.go, man.go and completion.go read the same table.
package cmd

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// verbs is every verb, in the order in which help lists them. A run of gm makes
// only the one that it needs.
var verbs = []newVerb{
	{"submit", submitVerb},
	{"map", mapVerb},
	{"pipe", pipeVerb},
	{"work", workVerb},
	{"tell", tellVerb},
	{"serve", serveVerb},
	{"status", statusVerb},
	{"workers", workersVerb},
	{"jobs", jobsVerb},
	{"job", jobVerb},
	{"wait", waitVerb},
	{"result", resultVerb},
	{"retry", retryVerb},
	{"cancel", cancelVerb},
	{"store", storeVerb},
	{"admin", adminVerb},
	{"ping", pingVerb},
	{"completion", completionVerb},
	{"man", manVerb},
	{"version", versionVerb},
}

// newVerb makes a verb.
type newVerb struct {
	name string
	make func(*env) *verb
}

// A verb is one command of gm, or one subcommand of such a command.
type verb struct {
	// Command has the name, Usage (a line for lists), ArgsUsage, Description
	// (paragraphs divided by empty lines), Flags and Action. A flag's Usage
	// names its value in backquotes. No flag may be Required: the action
	// says better what is missing, with usageErrorf.
	*cli.Command

	examples []example
	exits    []int   // the codes besides 0 and 2 that it can end with
	verbs    []*verb // subcommands; a verb that has some has no action

	// table is subcommands that are made when they are needed; made are those
	// that were.
	table []newVerb
	made  map[string]*verb
	env   *env

	// argsEndFlags ends the flags at the first positional argument, so that
	// what follows can have flags of its own.
	argsEndFlags bool
	// dataArgs says that arguments are data, which may be empty.
	dataArgs bool
	// ownSignals leaves SIGINT and SIGTERM to the action. Otherwise the
	// first of them cancels its context and gm exits with 128+n.
	ownSignals bool
}

// An example is a command line that works when pasted into a shell.
type example struct{ what, line string }

// env is what a run of gm has of the world.
type env struct {
	stdin  io.Reader
	stdout io.Writer // data; errors of writing are *outputError
	stderr io.Writer // everything else
	getenv func(string) string

	argv    []string                // of dispatch
	verb    string                  // that runs, as it is called
	root    *verb                   // the whole table
	closers []io.Closer             // closed when the verb has ended
	leftOut map[gearman.Server]bool // noted as not answering
}

// Main runs gm with the arguments of a process, the program's name first, and
// returns its exit code.
func Main(args []string) int {
	if len(args) == 3 && args[1] == guardJobs {
		runner.RunGuard(args[2])
		return exitOK
	}
	inheritIgnored()
	e := &env{
		stdin:  os.Stdin,
		stdout: &output{os.Stdout},
		stderr: os.Stderr,
		getenv: os.Getenv,
	}
	return e.run(context.Background(), args)
}

// run executes one command line and reports its error on stderr.
func (e *env) run(ctx context.Context, args []string) int {
	var err error
	if slices.Equal(args[1:], []string{"--version"}) {
		err = e.printVersion() // what scripts ask before anything else needs no table
	} else {
		e.root = newRoot(e)
		err = e.dispatch(ctx, args[1:])
	}
	for _, c := range e.closers {
		err = errors.Join(err, c.Close())
	}
	return e.report(err)
}

func newRoot(e *env) *verb {
	root := &verb{Command: &cli.Command{
		Name:  "gm",
		Usage: "a Gearman job server, worker, client and administrator",
		Description: `Flags may stand before or after the verb and its arguments; -- ends them. What a verb prints on stdout is data, lined up on a terminal and divided by tabs elsewhere; all else goes to stderr.

gm VERB -h shows the most used flags of a verb on one screen, gm help VERB all of it, and gm man VERB its manual page.`,
		Flags: append(e.connFlags(), e.commonFlags()...),
	}, table: verbs, made: map[string]*verb{}, env: e}
	root.examples = []example{
		{"a server that also does jobs", "gm serve --work reverse=rev"},
		{"a job for it", "echo hello | gm submit -f reverse"},
		{"what is waiting", "gm status --watch"},
	}
	root.exits = slices.Collect(maps.Keys(exitTexts))
	return root
}

// hasVerbs reports whether there are subcommands.
func (v *verb) hasVerbs() bool { return len(v.verbs)+len(v.table) > 0 }

// subs returns the subcommands, in the order in which help lists them.
func (v *verb) subs() []*verb {
	subs := slices.Clone(v.verbs)
	for _, n := range v.table {
		subs = append(subs, v.sub(n.name))
	}
	return subs
}

// sub returns the subcommand of that name, or nil.
func (v *verb) sub(name string) *verb {
	for _, sub := range v.verbs {
		if sub.HasName(name) {
			return sub
		}
	}
	for _, n := range v.table {
		if n.name == name && v.made[name] == nil {
			sub := n.make(v.env)
			sub.finish(v.env)
			v.made[name] = sub
		}
	}
	return v.made[name]
}

// finish gives a verb, and those below it, what all have in common.
func (v *verb) finish(e *env) {
	v.Flags = append(v.Flags, e.commonFlags()...)
	for _, sub := range v.verbs {
		sub.finish(e)
	}
}

// commonFlags are the flags of every verb.
func (e *env) commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "color", Value: "auto", Usage: "colour on a terminal: `WHEN` is auto, always or never", Category: catCommon},
	}
}

// Categories of flags, as headings of the help.
const (
	catServers = "Servers"
	catOutput  = "Output"
	catCommon  = "Common"
)

// dispatch finds the verb that args name and runs it.
func (e *env) dispatch(ctx context.Context, args []string) error {
	e.argv = args
	call, err := parseArgs(e.root, args)
	if err != nil {
		return err
	}
	switch {
	case call.version:
		return e.printVersion()
	case call.brief:
		_, err := e.stdout.Write(shortHelp(call.path))
		return err
	case call.help:
		return e.page(fullHelp(call.path))
	case call.verb().hasVerbs():
		if _, err := e.stderr.Write(shortHelp(call.path)); err != nil {
			return err
		}
		return &exitError{code: exitUsage}
	}
	v := call.verb()
	e.verb = call.pathNames()
	c, err := call.context()
	if err != nil {
		return err
	}
	c.Context = ctx
	if v.ownSignals {
		return v.Action(c)
	}
	return heedSignals(c, v.Action)
}

// heedSignals runs an action with a context that the first SIGINT or SIGTERM
// cancels: then its error is that signal. The second one ends the process at once.
func heedSignals(c *cli.Context, action cli.ActionFunc) error {
	ctx, stop := withSignals(c.Context)
	defer stop()
	c.Context = ctx
	err := action(c)
	if sig := (*signalError)(nil); err != nil && errors.As(context.Cause(ctx), &sig) {
		return sig
	}
	return err
}
