package cmd

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// A verb is one command of gm, or one subcommand of such a command.
type verb struct {
	// Command has the name, Usage (a line for lists), ArgsUsage, Description
	// (paragraphs separated by empty lines), Flags and Action. A flag's Usage names its
	// value in backquotes. No flag may be Required: the action reports a missing flag
	// better, with usageErrorf.
	*cli.Command

	examples []example
	exits    []int   // the exit codes besides 0 and 2
	verbs    []*verb // subcommands; a verb with subcommands has no action

	// table has the subcommands that are made when they are needed, made those that
	// have been made.
	table []newVerb
	made  map[string]*verb

	// mostUsed names the flags that -h shows if not all fit; without it -h shows
	// the first ones.
	mostUsed []string
	// environment and files are sections of the manual page.
	environment, files []manItem
	// version returns the version of the program. The root has it.
	version func() string

	// argsEndFlags ends the flags at the first positional argument, so that the words
	// after it can have flags of their own.
	argsEndFlags bool
	// dataArgs means that arguments are data, which may be empty.
	dataArgs bool
	// ownSignals leaves SIGINT and SIGTERM to the action. Otherwise the first one cancels
	// its context and gm exits with 128+n.
	ownSignals bool
}

// An example is a command line that works when pasted into a shell.
type example struct{ what, line string }

// A newVerb names a verb and makes it.
type newVerb struct {
	name string
	make func() *verb
}

// hasVerbs reports whether there are subcommands.
func (v *verb) hasVerbs() bool { return len(v.verbs)+len(v.table) > 0 }

// subs returns the subcommands, in the order of the help.
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
			sub := n.make()
			sub.finish()
			if v.made == nil {
				v.made = map[string]*verb{}
			}
			v.made[name] = sub
		}
	}
	return v.made[name]
}

// finish adds the common flags to a verb and its subcommands.
func (v *verb) finish() {
	v.Flags = append(v.Flags, commonFlags()...)
	for _, sub := range v.verbs {
		sub.finish()
	}
}

// commonFlags returns the flags of every verb.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "color", Value: "auto", Usage: "use colours on a terminal: `WHEN` is auto, always or never", Category: catCommon},
	}
}

// Categories of flags, as headings of the help.
const (
	catServers = "Servers"
	catOutput  = "Output"
	catCommon  = "Common"
)
