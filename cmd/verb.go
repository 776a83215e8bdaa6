package cmd

import (
	"slices"

	"github.com/urfave/cli/v2"
)

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

	// mostUsed names the flags that -h shows if not all fit; without it -h shows
	// the first ones.
	mostUsed []string
	// environment and files are sections of the manual page.
	environment, files []manItem
	// version returns the version of the program. The root has it.
	version func() string

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

// A newVerb names a verb and makes it.
type newVerb struct {
	name string
	make func() *verb
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
		&cli.StringFlag{Name: "color", Value: "auto", Usage: "colour on a terminal: `WHEN` is auto, always or never", Category: catCommon},
	}
}

// Categories of flags, as headings of the help.
const (
	catServers = "Servers"
	catOutput  = "Output"
	catCommon  = "Common"
)
