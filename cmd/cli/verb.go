package cli

import (
	"slices"

	urfave "github.com/urfave/cli/v2"
)

// A Verb is one command of the program, or one subcommand of such a command.
type Verb struct {
	// Command has the name, Usage (a line for lists), ArgsUsage, Description
	// (paragraphs separated by empty lines), Flags and Action. A flag's Usage names its
	// value in backquotes. No flag may be Required: the action reports a missing flag
	// better, with UsageErrorf.
	*urfave.Command

	Examples []Example
	Exits    []int   // the exit codes besides 0 and 2
	Verbs    []*Verb // subcommands; a verb with subcommands has no action

	// Table has further subcommands, each of which is made when it is first needed. Made
	// has those that have been made.
	Table []NewVerb
	Made  map[string]*Verb

	// MostUsed names the flags that -h shows if they do not all fit on a screen. Without
	// it -h shows the first flags.
	MostUsed []string
	// Environment and Files are sections of the manual page.
	Environment, Files []ManItem
	// Program describes the program. Only the root has it.
	Program Program
	// ArgsKind is the kind of the arguments for completions, if ArgsUsage does not name it.
	ArgsKind CompKind

	// ArgsEndFlags ends the flags at the first positional argument, so that the words
	// after it can have flags of their own.
	ArgsEndFlags bool
	// DataArgs means that arguments are data, which can be empty.
	DataArgs bool
	// OwnSignals means that the action handles SIGINT and SIGTERM. Otherwise the first of
	// them cancels the context of the action, and gm exits with 128+n.
	OwnSignals bool
}

// Program describes a program for help texts, manual pages and completions.
type Program struct {
	Version   func() string
	Manual    string         // the title of the manual
	ExitTexts map[int]string // the meaning of each exit code
	// EmptyMeans has the meaning of an empty value, for the flags that accept one.
	EmptyMeans map[string]string
	Completion func() *Completion
	Topics     []Topic
}

// An Example is a command line that works when it is pasted into a shell.
type Example struct{ What, Line string }

// A NewVerb names a verb and makes it.
type NewVerb struct {
	Name string
	Make func() *Verb
}

// HasVerbs reports whether there are subcommands.
func (v *Verb) HasVerbs() bool { return len(v.Verbs)+len(v.Table) > 0 }

// Subs returns the subcommands, in the order of the help.
func (v *Verb) Subs() []*Verb {
	subs := slices.Clone(v.Verbs)
	for _, n := range v.Table {
		subs = append(subs, v.Sub(n.Name))
	}
	return subs
}

// Sub returns the subcommand of that name, or nil.
func (v *Verb) Sub(name string) *Verb {
	for _, sub := range v.Verbs {
		if sub.HasName(name) {
			return sub
		}
	}
	for _, n := range v.Table {
		if n.Name == name && v.Made[name] == nil {
			sub := n.Make()
			sub.addCommonFlags()
			if v.Made == nil {
				v.Made = map[string]*Verb{}
			}
			v.Made[name] = sub
		}
	}
	return v.Made[name]
}

// addCommonFlags adds the common flags to a verb and its subcommands.
func (v *Verb) addCommonFlags() {
	v.Flags = append(v.Flags, CommonFlags()...)
	for _, sub := range v.Verbs {
		sub.addCommonFlags()
	}
}

// CommonFlags returns the flags of every verb.
func CommonFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "color", Value: "auto", Usage: "use colours on a terminal: `WHEN` is auto, always or never", Category: catCommon},
	}
}

// Categories of flags, as headings of the help.
const (
	CatServers = "Servers"
	CatOutput  = "Output"
	catCommon  = "Common"
)

// A ManItem is a term of a manual page and its explanation.
type ManItem struct{ Name, Text string }
