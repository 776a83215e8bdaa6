package cli

import (
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
