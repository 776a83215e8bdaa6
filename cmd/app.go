// Package cmd is the command line of gm: a table of verbs, a file each. It is
// the only package that prints, colours and chooses exit codes.
//
// A verb is a function from the environment to a [verb]: flags, help and an
// action. The action returns an error; exit.go turns it into a message and an
// exit code, and nothing else does. Rows go out through output.go, servers
// come from servers.go. Arguments are put in order by args.go before
// urfave/cli sees them; help.go, man.go and completion.go read the same table.
package cmd

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"gm/pkg/gearman"
)

// verbs is every verb, in the order in which help lists them.
var verbs = []func(*env) *verb{
	submitVerb,
	mapVerb,
	pipeVerb,
	workVerb,
	tellVerb,
	serveVerb,
	statusVerb,
	workersVerb,
	jobsVerb,
	jobVerb,
	waitVerb,
	resultVerb,
	retryVerb,
	cancelVerb,
	storeVerb,
	adminVerb,
	pingVerb,
	completionVerb,
	manVerb,
	versionVerb,
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

	// argsEndFlags ends the flags at the first positional argument, so that
	// what follows can have flags of its own.
	argsEndFlags bool
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

	root    *verb                   // the whole table
	closers []io.Closer             // closed when the verb has ended
	leftOut map[gearman.Server]bool // noted as not answering
}

// Main runs gm with the arguments of a process, the program's name first, and
// returns its exit code.
func Main(args []string) int {
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
	e.root = newRoot(e)
	err := e.dispatch(ctx, args[1:])
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

gm help VERB tells about a verb, gm man VERB prints its manual page.`,
		Flags: append(e.connFlags(), e.commonFlags()...),
	}}
	root.examples = []example{
		{"a server that also does jobs", "gm serve --work reverse=rev"},
		{"a job for it", "echo hello | gm submit -f reverse"},
		{"what is waiting", "gm status --watch"},
	}
	root.exits = slices.Collect(maps.Keys(exitTexts))
	for _, newVerb := range verbs {
		root.verbs = append(root.verbs, newVerb(e))
	}
	root.finish(e)
	return root
}

// finish gives every verb below v what all have in common.
func (v *verb) finish(e *env) {
	v.HideHelp = true
	v.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return withHint(usageErrorf("%w", err), "gm help "+v.Name+" lists its flags")
	}
	for _, sub := range v.verbs {
		sub.Flags = append(sub.Flags, e.commonFlags()...)
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
	call, err := parseArgs(e.root, args)
	if err != nil {
		return err
	}
	switch {
	case call.version:
		return e.printVersion()
	case call.help:
		return e.printHelp(e.stdout, call.path)
	case len(call.verb().verbs) > 0:
		if err := e.printHelp(e.stderr, call.path); err != nil {
			return err
		}
		return &exitError{code: exitUsage}
	}
	app := &cli.App{
		Name:           e.root.Name,
		HideHelp:       true,
		HideVersion:    true,
		Commands:       call.commands(),
		Reader:         e.stdin,
		Writer:         e.stdout,
		ErrWriter:      e.stderr,
		ExitErrHandler: func(*cli.Context, error) {},
	}
	if call.verb().ownSignals {
		return app.RunContext(ctx, call.argv())
	}
	ctx, stop := withSignals(ctx)
	defer stop()
	err = app.RunContext(ctx, call.argv())
	if sig := (*signalError)(nil); err != nil && errors.As(context.Cause(ctx), &sig) {
		return sig
	}
	return err
}

// withSignals returns a context that the first SIGINT or SIGTERM cancels with
// a *signalError as its cause. A second one ends the process at once.
func withSignals(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(&signalError{s.(syscall.Signal)})
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}
