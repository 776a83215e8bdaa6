package cmd

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// shells are the shells with completions: the name, and the name of the file that the
// shell looks for.
var shells = []struct {
	name, file string
	write      func(verbs []compVerb) string
}{
	{"bash", "gm.bash", bashCompletion},
	{"zsh", "_gm", zshCompletion},
	{"fish", "gm.fish", fishCompletion},
	{"powershell", "gm.ps1", powershellCompletion},
}

func completionVerb(e *cliEnv) *verb {
	return &verb{
		Command: &cli.Command{
			Name:        "completion",
			Usage:       "print completions for a shell",
			ArgsUsage:   "bash|zsh|fish|powershell",
			Description: `Prints code for the shell that completes verbs, flags and their values. It gets the names of functions and handles from the server that the command line names, in at most 0.3 s.`,
			Action:      func(c *cli.Context) error { return e.completion(c) },
		},
		examples: []example{
			{"in ~/.bashrc", "source <(gm completion bash)"},
			{"for zsh, in ~/.zshrc after compinit", "source <(gm completion zsh)"},
			{"for fish", "mkdir -p ~/.config/fish/completions && gm completion fish >~/.config/fish/completions/gm.fish"},
			{"in PowerShell's $PROFILE", "gm completion powershell | Out-String | Invoke-Expression"},
		},
		exits: []int{exitIO},
	}
}

// completion is the verb's action.
func (e *cliEnv) completion(c *cli.Context) error {
	if c.NArg() != 1 {
		return usageErrorf("completion: %d arguments, want one shell", c.NArg())
	}
	for _, shell := range shells {
		if shell.name == c.Args().First() {
			_, err := e.stdout.Write([]byte(renameCompletion(shell.write(compVerbs(e.root)))))
			return err
		}
	}
	return usageErrorf("completion: unknown shell %q: want bash, zsh, fish or powershell", c.Args().First())
}

// compVerb is a verb as completions see it.
type compVerb struct {
	path  string // the words after gm: "", "admin", "admin create"
	usage string
	flags []compFlag
	subs  []compVerb
	args  compKind
	// choices are the words for args of kind compChoices.
	choices []string
	endArgs bool // flags end at the first argument
}

// compFlag is a flag with the kind of its value.
type compFlag struct {
	flagDoc
	kind    compKind
	choices []string
}

// compKind is the kind of a value.
type compKind string

const (
	compNone      compKind = ""          // nothing to propose
	compChoices   compKind = "choices"   // one of a few words
	compFunctions compKind = "functions" // of the server
	compHandles   compKind = "handles"   // of the server's jobs
	compDead      compKind = "dead"      // handles of its dead jobs
	compContexts  compKind = "contexts"  // of the configuration
	compStores    compKind = "stores"    // URLs of stores, with file names after disk: and similar schemes
	compFiles     compKind = "files"
	compDirs      compKind = "dirs"
	compCommand   compKind = "command" // a command line of its own
)

// flagChoices are the possible values of a flag, by its name, or by the names of the verb
// and the flag.
var flagChoices = map[string][]string{
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

// compVerbs returns the root and every visible verb below it, parents first.
func compVerbs(root *verb) []compVerb {
	var all []compVerb
	var walk func(v *verb, path []string) compVerb
	walk = func(v *verb, path []string) compVerb {
		cv := newCompVerb(v, strings.Join(path, " "))
		i := len(all)
		all = append(all, cv)
		for _, sub := range v.subs() {
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

func newCompVerb(v *verb, path string) compVerb {
	cv := compVerb{path: path, usage: v.Usage, endArgs: v.argsEndFlags}
	for _, group := range flagGroups(v) {
		for _, f := range group.flags {
			cv.flags = append(cv.flags, newCompFlag(path, f))
		}
	}
	if path == "" {
		cv.flags = append(cv.flags, compFlag{flagDoc: flagDoc{names: []string{"version"}, text: "print the version"}})
	}
	switch args := v.ArgsUsage; {
	case strings.Contains(args, "FUNC"):
		cv.args = compFunctions
	case strings.Contains(args, "HANDLE") && path == "retry":
		cv.args = compDead
	case strings.Contains(args, "HANDLE"):
		cv.args = compHandles
	case strings.Contains(args, "URL"):
		cv.args = compStores
	case strings.Contains(args, "CMD"):
		cv.args = compCommand
	case strings.Contains(args, "VERB"):
		cv.args, cv.choices = compChoices, manVerbs
	case args != "" && !strings.ContainsAny(args, "[. ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
		cv.args, cv.choices = compChoices, strings.Split(args, "|")
	case strings.Contains(args, "DATA"), strings.Contains(args, "FILE"):
		cv.args = compFiles
	}
	return cv
}

// manVerbs stands for all verbs of the root.
var manVerbs = []string{"*"}

func newCompFlag(path string, f flagDoc) compFlag {
	cf := compFlag{flagDoc: f}
	long := f.names[len(f.names)-1]
	switch {
	case f.value == "":
	case flagChoices[path+" "+long] != nil:
		cf.kind, cf.choices = compChoices, flagChoices[path+" "+long]
	case flagChoices[long] != nil:
		cf.kind, cf.choices = compChoices, flagChoices[long]
	case f.value == "FUNC":
		cf.kind = compFunctions
	case long == "context":
		cf.kind = compContexts
	case f.value == "URL":
		cf.kind = compStores
	case strings.Contains(f.value, "FILE"), strings.Contains(f.value, "PATH"):
		cf.kind = compFiles
	case strings.Contains(f.value, "DIR"):
		cf.kind = compDirs
	}
	return cf
}

// words returns the names of the flag with their dashes.
func (f compFlag) words() []string {
	var words []string
	for _, name := range f.names {
		words = append(words, dashed(name))
	}
	return words
}

// summary returns the first clause of the flag's text, for menus.
func (f flagDoc) summary() string {
	text, _, _ := strings.Cut(f.text, ";")
	text, _, _ = strings.Cut(text, " (default")
	return text
}

// names returns the subcommands' names.
func (v compVerb) names() []string {
	var names []string
	for _, sub := range v.subs {
		words := strings.Fields(sub.path)
		names = append(names, words[len(words)-1])
	}
	return names
}
