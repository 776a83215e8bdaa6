package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// Completion describes the values that completions propose, besides the names of verbs and
// flags.
type Completion struct {
	// Choices are the possible values of flags, by the name of the flag, or by the names
	// of the verb and the flag.
	Choices map[string][]string
	// Queries are the values that the program itself lists. Its command line gets the
	// QueryFlags of the command line that is completed; they are flags of the root.
	Queries    []CompQuery
	QueryFlags []string
	// Sections are values in a file.
	Sections CompSections
	// URLs are values that begin with a scheme.
	URLs CompURLs
}

// CompQuery is a kind of value that the program lists.
type CompQuery struct {
	Kind   CompKind
	Value  string // the name of such a value in usage lines and flags: FUNC; may be empty
	Args   string // the command line that lists the values, in columns separated by tabs
	Column int    // of the value, from 1
}

// CompSections is a kind of value that is the name of a section [TABLE.NAME] in a file.
type CompSections struct {
	Kind    CompKind
	Flag    string // the flag that takes the value
	Table   string
	Env     string // the variable that names the file
	Default string // below $XDG_CONFIG_HOME or ~/.config, if the variable is not set
}

// CompURLs is a kind of value that is a URL. The schemes end with a colon or with ://.
type CompURLs struct {
	Kind  CompKind
	Value string   // the name of such a value in usage lines and flags: URL
	Dirs  []string // schemes before the path of a directory
	Files []string // schemes before the path of a file
	Other []string // other schemes
}

// schemes returns all schemes.
func (u *CompURLs) schemes() []string { return slices.Concat(u.Dirs, u.Files, u.Other) }

// schemeNames returns schemes without their colons.
func schemeNames(schemes []string) []string {
	var names []string
	for _, s := range schemes {
		names = append(names, strings.TrimSuffix(s, ":"))
	}
	return names
}

// Shells are the shells with completions: the name, and the name of the file that the
// shell looks for.
var Shells = []struct {
	Name, File string
	Write      func(verbs []compVerb) string
}{
	{"bash", "gm.bash", BashCompletion},
	{"zsh", "_gm", zshCompletion},
	{"fish", "gm.fish", fishCompletion},
	{"powershell", "gm.ps1", powershellCompletion},
}

// CompletionVerb returns the verb that prints completions. queries is a sentence on the
// values that the program lists.
func CompletionVerb(e *Env, queries string) *Verb {
	return &Verb{
		Command: &urfave.Command{
			Name:        "completion",
			Usage:       "print completions for a shell",
			ArgsUsage:   "bash|zsh|fish|powershell",
			Description: "Prints code for the shell that completes verbs, flags and their values. " + queries,
			Action:      func(c *urfave.Context) error { return e.printCompletion(c) },
		},
		Examples: []Example{
			{"in ~/.bashrc", "source <(gm completion bash)"},
			{"for zsh, in ~/.zshrc after compinit", "source <(gm completion zsh)"},
			{"for fish", "mkdir -p ~/.config/fish/completions && gm completion fish >~/.config/fish/completions/gm.fish"},
			{"in PowerShell's $PROFILE", "gm completion powershell | Out-String | Invoke-Expression"},
		},
		Exits: []int{ExitIO},
	}
}

// printCompletion is the action of completion.
func (e *Env) printCompletion(c *urfave.Context) error {
	if c.NArg() != 1 {
		return UsageErrorf("completion: %d arguments, want one shell", c.NArg())
	}
	for _, shell := range Shells {
		if shell.Name == c.Args().First() {
			_, err := e.Stdout.Write([]byte(RenameCompletion(shell.Write(CompVerbs(e.Root)))))
			return err
		}
	}
	return UsageErrorf("completion: unknown shell %q: want bash, zsh, fish or powershell", c.Args().First())
}

// compVerb is a verb as completions see it.
type compVerb struct {
	Path  string // the words after gm: "", "admin", "admin create"
	usage string
	Flags []compFlag
	subs  []compVerb
	args  CompKind
	// choices are the words for args of kind compChoices.
	choices []string
	endArgs bool // flags end at the first argument

	completion *Completion // of the root
}

// compFlag is a flag with the kind of its value.
type compFlag struct {
	flagDoc
	Kind    CompKind
	choices []string
}

// CompKind is the kind of a value. The kinds below are the same for every program; others
// are in its Completion.
type CompKind string

const (
	compNone    CompKind = ""        // nothing to propose
	compChoices CompKind = "choices" // one of a few words
	CompFiles   CompKind = "files"
	CompDirs    CompKind = "dirs"
	compCommand CompKind = "command" // another command line
)

// CompVerbs returns the root and every visible verb below it, parents first.
func CompVerbs(root *Verb) []compVerb {
	completion := &Completion{}
	if root.Program.Completion != nil {
		completion = root.Program.Completion()
	}
	var all []compVerb
	var walk func(v *Verb, path []string) compVerb
	walk = func(v *Verb, path []string) compVerb {
		cv := newCompVerb(completion, v, strings.Join(path, " "))
		i := len(all)
		all = append(all, cv)
		for _, sub := range v.Subs() {
			if !sub.Hidden {
				cv.subs = append(cv.subs, walk(sub, append(slices.Clone(path), sub.Name)))
			}
		}
		all[i] = cv
		return cv
	}
	walk(root, nil)
	all[0].completion = completion
	return all
}

func newCompVerb(c *Completion, v *Verb, path string) compVerb {
	cv := compVerb{Path: path, usage: v.Usage, endArgs: v.ArgsEndFlags}
	for _, group := range FlagGroups(v) {
		for _, f := range group.Flags {
			cv.Flags = append(cv.Flags, newCompFlag(c, path, f))
		}
	}
	if path == "" {
		cv.Flags = append(cv.Flags, compFlag{flagDoc: flagDoc{Names: []string{"version"}, Text: "print the version"}})
	}
	query := slices.IndexFunc(c.Queries, func(q CompQuery) bool { return q.Value != "" && strings.Contains(v.ArgsUsage, q.Value) })
	switch args := v.ArgsUsage; {
	case v.ArgsKind != "":
		cv.args = v.ArgsKind
	case query >= 0:
		cv.args = c.Queries[query].Kind
	case c.URLs.Value != "" && strings.Contains(args, c.URLs.Value):
		cv.args = c.URLs.Kind
	case strings.Contains(args, "CMD"):
		cv.args = compCommand
	case strings.Contains(args, "VERB"):
		cv.args, cv.choices = compChoices, manVerbs
	case args != "" && !strings.ContainsAny(args, "[. ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
		cv.args, cv.choices = compChoices, strings.Split(args, "|")
	case strings.Contains(args, "DATA"), strings.Contains(args, "FILE"):
		cv.args = CompFiles
	}
	return cv
}

// manVerbs stands for all verbs of the root.
var manVerbs = []string{"*"}

func newCompFlag(c *Completion, path string, f flagDoc) compFlag {
	cf := compFlag{flagDoc: f}
	long := f.Names[len(f.Names)-1]
	query := slices.IndexFunc(c.Queries, func(q CompQuery) bool { return q.Value != "" && q.Value == f.Value })
	switch {
	case f.Value == "":
	case c.Choices[path+" "+long] != nil:
		cf.Kind, cf.choices = compChoices, c.Choices[path+" "+long]
	case c.Choices[long] != nil:
		cf.Kind, cf.choices = compChoices, c.Choices[long]
	case query >= 0:
		cf.Kind = c.Queries[query].Kind
	case long == c.Sections.Flag:
		cf.Kind = c.Sections.Kind
	case f.Value == c.URLs.Value:
		cf.Kind = c.URLs.Kind
	case strings.Contains(f.Value, "FILE"), strings.Contains(f.Value, "PATH"):
		cf.Kind = CompFiles
	case strings.Contains(f.Value, "DIR"):
		cf.Kind = CompDirs
	}
	return cf
}

// words returns the names of the flag with their dashes.
func (f compFlag) words() []string {
	var words []string
	for _, name := range f.Names {
		words = append(words, Dashed(name))
	}
	return words
}

// summary returns the first clause of the text of the flag, for menus.
func (f flagDoc) summary() string {
	text, _, _ := strings.Cut(f.Text, ";")
	text, _, _ = strings.Cut(text, " (default")
	return text
}

// names returns the subcommands' names.
func (v compVerb) names() []string {
	var names []string
	for _, sub := range v.subs {
		words := strings.Fields(sub.Path)
		names = append(names, words[len(words)-1])
	}
	return names
}

// queryFlagWords returns the names of the QueryFlags, and the patterns of the long ones
// with a value.
func (v compVerb) queryFlagWords() (words, withValue []string) {
	for _, name := range v.completion.QueryFlags {
		for _, f := range v.Flags {
			if f.Names[len(f.Names)-1] == name {
				words = append(words, f.words()...)
			}
		}
		withValue = append(withValue, Dashed(name)+"=*")
	}
	return words, withValue
}

// joinPatterns joins the patterns of a case in a shell. Without patterns it returns the
// pattern of an empty word, because a case needs one.
func joinPatterns(patterns []string, separator string) string {
	if len(patterns) == 0 {
		return "''"
	}
	return strings.Join(patterns, separator)
}
