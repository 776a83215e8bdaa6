package cli

import (
	"context"
	"io"

	urfave "github.com/urfave/cli/v2"
)

// Env is the environment of one command line: its streams, its variables and its
// table of verbs.
type Env struct {
	Stdin  io.Reader
	Stdout io.Writer // data; errors of writing are *OutputError
	Stderr io.Writer // messages
	Getenv func(string) string

	Argv    []string    // of dispatch
	verb    string      // the words of the running verb
	Root    *Verb       // the whole table
	Closers []io.Closer // closed when the verb has ended
}

// Dispatch finds the verb that args name and runs it.
func (e *Env) Dispatch(ctx context.Context, args []string) error {
	e.Argv = args
	call, err := ParseArgs(e.Root, args)
	if err != nil {
		return err
	}
	switch {
	case call.Version:
		return e.PrintVersion()
	case call.brief:
		_, err := e.Stdout.Write(ShortHelp(call.Path))
		return err
	case call.Help:
		return e.showText(FullHelp(call.Path))
	case call.Verb().HasVerbs():
		if _, err := e.Stderr.Write(ShortHelp(call.Path)); err != nil {
			return err
		}
		return &ExitError{Code: ExitUsage}
	}
	v := call.Verb()
	e.verb = call.pathNames()
	c, err := call.Context()
	if err != nil {
		return err
	}
	c.Context = ctx
	if v.OwnSignals {
		return v.Action(c)
	}
	return HeedSignals(c, v.Action)
}

// Reparse returns the context of the same command line with new values of its flags.
func (e *Env) Reparse() (*urfave.Context, error) {
	root := *e.Root
	root.Made = map[string]*Verb{}
	call, err := ParseArgs(&root, e.Argv)
	if err != nil {
		return nil, err
	}
	return call.Context()
}

// PrintVersion prints the name and the version of the program.
func (e *Env) PrintVersion() error { return e.PrintLine(e.Root.Name + " " + e.Root.Program.Version()) }
