package cli

import (
	"context"

	urfave "github.com/urfave/cli/v2"
)

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
	case call.Topic != nil:
		return e.showText(TopicHelp(call.Topic))
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

// Reparse parses the command line again, into new values of its flags.
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
