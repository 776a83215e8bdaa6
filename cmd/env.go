package cmd

import (
	"context"
	"io"
)

// cliEnv is the environment of one command line: its streams, its variables and its
// table of verbs.
type cliEnv struct {
	stdin  io.Reader
	stdout io.Writer // data; errors of writing are *outputError
	stderr io.Writer // messages
	getenv func(string) string

	argv    []string    // of dispatch
	verb    string      // the words of the running verb
	root    *verb       // the whole table
	closers []io.Closer // closed when the verb has ended
}

// dispatch finds the verb that args name and runs it.
func (e *cliEnv) dispatch(ctx context.Context, args []string) error {
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

// printVersion prints the name and the version of the program.
func (e *cliEnv) printVersion() error { return e.printLine(e.root.Name + " " + e.root.version()) }
