package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

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

func CompletionVerb(e *Env) *Verb {
	return &Verb{
		Command: &urfave.Command{
			Name:        "completion",
			Usage:       "print completions for a shell",
			ArgsUsage:   "bash|zsh|fish|powershell",
			Description: `Prints code for the shell that completes verbs, flags and their values. It gets the names of functions and handles from the server that the command line names, in at most 0.3 s.`,
			Action:      func(c *urfave.Context) error { return e.completion(c) },
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

// completion is the verb's action.
func (e *Env) completion(c *urfave.Context) error {
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
}

// compFlag is a flag with the kind of its value.
type compFlag struct {
	flagDoc
	Kind    CompKind
	choices []string
}

// CompKind is the kind of a value.
type CompKind string

const (
	compNone      CompKind = ""          // nothing to propose
	compChoices   CompKind = "choices"   // one of a few words
	CompFunctions CompKind = "functions" // of the server
	compHandles   CompKind = "handles"   // of the server's jobs
	compDead      CompKind = "dead"      // handles of its dead jobs
	compContexts  CompKind = "contexts"  // of the configuration
	CompStores    CompKind = "stores"    // URLs of stores, with file names after disk: and similar schemes
	CompFiles     CompKind = "files"
	CompDirs      CompKind = "dirs"
	compCommand   CompKind = "command" // a command line of its own
)

// FlagChoices are the possible values of a flag, by its name, or by the names of the verb
// and the flag.
var FlagChoices = map[string][]string{
	"color":         {"auto", "always", "never"},
	"output":        {"table", "tsv", "json", "jsonl"},
	"submit output": {"json", "jsonl"}, // results are no rows
	"map output":    {"json", "jsonl"},
	"pipe output":   {"json", "jsonl"},
	"progress":      {"json"},
	"state":         {"waiting", "delayed", "running", "dead"},
	"sync":          {"always", "interval", "never"},
	"next-priority": {"high", "normal", "low", "same"},
	"halt":          {"never", "now,fail=1", "soon,fail=1", "soon,fail=10%"},
	"log-level":     {"debug", "info", "warn", "error"},
	"log-format":    {"text", "json"},
}

// storeSchemes are the beginnings of the URLs of stores. A file name follows the first
// ones.
var storeSchemes = []string{"disk:", "sqlite:", "tokyocabinet:", "postgres://", "mysql://", "redis://", "memcached://"}

// CompVerbs returns the root and every visible verb below it, parents first.
func CompVerbs(root *Verb) []compVerb {
	var all []compVerb
	var walk func(v *Verb, path []string) compVerb
	walk = func(v *Verb, path []string) compVerb {
		cv := newCompVerb(v, strings.Join(path, " "))
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
	return all
}

func newCompVerb(v *Verb, path string) compVerb {
	cv := compVerb{Path: path, usage: v.Usage, endArgs: v.ArgsEndFlags}
	for _, group := range FlagGroups(v) {
		for _, f := range group.Flags {
			cv.Flags = append(cv.Flags, newCompFlag(path, f))
		}
	}
	if path == "" {
		cv.Flags = append(cv.Flags, compFlag{flagDoc: flagDoc{Names: []string{"version"}, Text: "print the version"}})
	}
	switch args := v.ArgsUsage; {
	case strings.Contains(args, "FUNC"):
		cv.args = CompFunctions
	case strings.Contains(args, "HANDLE") && path == "retry":
		cv.args = compDead
	case strings.Contains(args, "HANDLE"):
		cv.args = compHandles
	case strings.Contains(args, "URL"):
		cv.args = CompStores
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

func newCompFlag(path string, f flagDoc) compFlag {
	cf := compFlag{flagDoc: f}
	long := f.Names[len(f.Names)-1]
	switch {
	case f.Value == "":
	case FlagChoices[path+" "+long] != nil:
		cf.Kind, cf.choices = compChoices, FlagChoices[path+" "+long]
	case FlagChoices[long] != nil:
		cf.Kind, cf.choices = compChoices, FlagChoices[long]
	case f.Value == "FUNC":
		cf.Kind = CompFunctions
	case long == "context":
		cf.Kind = compContexts
	case f.Value == "URL":
		cf.Kind = CompStores
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

// summary returns the first clause of the flag's text, for menus.
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
