package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// libraryRoot returns a program for a library of books.
func libraryRoot(completion func() *Completion) *Verb {
	none := func(*urfave.Context) error { return nil }
	return &Verb{
		Command: &urfave.Command{Name: "gm", Usage: "a library", Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "branch", Aliases: []string{"b"}, Usage: "the `NAME` of the branch"},
		}},
		Verbs: []*Verb{
			{Command: &urfave.Command{Name: "lend", Usage: "lend books", ArgsUsage: "BOOK..", Action: none}},
			{Command: &urfave.Command{Name: "return", Usage: "take books back", ArgsUsage: "BOOK..", Action: none}, ArgsKind: "lent"},
			{Command: &urfave.Command{Name: "find", Usage: "find books", Action: none, Flags: []urfave.Flag{
				&urfave.StringFlag{Name: "by", Usage: "sort by `KEY`"},
				&urfave.StringFlag{Name: "member", Usage: "books that `NAME` has"},
				&urfave.StringFlag{Name: "catalogue", Usage: "the catalogue at `URI`"},
			}}},
		},
		Program: Program{Completion: completion},
	}
}

func libraryCompletion() *Completion {
	return &Completion{
		Choices:    map[string][]string{"by": {"author", "title"}},
		Queries:    []CompQuery{{Kind: "books", Value: "BOOK", Args: "find --in", Field: 1}, {Kind: "lent", Args: "find --lent", Field: 3}},
		QueryFlags: []string{"branch"},
		Sections:   CompSections{Kind: "members", Flag: "member", Table: "members", Variable: "LIBRARY_FILE", Default: "library.toml"},
		URLs:       CompURLs{Kind: "catalogues", Value: "URI", Dirs: []string{"shelf:"}, Files: []string{"list:"}, Other: []string{"https://"}},
	}
}

// The completions of a program have its own kinds of values.
func TestCompletionsOfAnotherProgram(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	dir := t.TempDir()
	fake := filepath.Join(dir, "fake")
	for _, err := range []error{
		os.WriteFile(fake, []byte("#!/bin/sh\ncase \"$*\" in\n'find --in -b west') echo 'Emma 1' | tr ' ' '\\t' ;;\n'find --lent') printf 'a\\tb\\tIvanhoe\\n' ;;\nesac\n"), 0o700),
		os.WriteFile(filepath.Join(dir, "library.toml"), []byte("[members.ann]\n[other.bob]\n"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("LIBRARY_FILE", filepath.Join(dir, "library.toml"))
	tests := []struct{ line, want string }{
		{fake + " -b west lend E", "Emma"},
		{fake + " return I", "Ivanhoe"},
		{"gm find --by t", "title"},
		{"gm find --member ", "ann"},
		{"gm find --catalogue li", "list:"},
		{"gm find --catalogue list:" + dir + "/fa", dir + "/fake"},
	}
	script := BashCompletion(CompVerbs(libraryRoot(libraryCompletion)))
	var lines []string
	for _, test := range tests {
		lines = append(lines, test.line)
	}
	cmd := exec.CommandContext(t.Context(), bash, "-c", script+`
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE} COMP_WORDBREAKS=$' \t\n"\'><=;|&(:' COMPREPLY=()
    _gm
    echo "${COMPREPLY[*]}"
done
`)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bash: %v", err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(got) != len(tests) {
		t.Fatalf("%d answers, want %d:\n%s", len(got), len(tests), out)
	}
	for i, test := range tests {
		if got[i] != test.want {
			t.Errorf("[%s]: got %q, want %q", test.line, got[i], test.want)
		}
	}
}

// Every shell reads the completions of a program, also of one that describes no values.
func TestCompletionsAreValid(t *testing.T) {
	for name, completion := range map[string]func() *Completion{"with values": libraryCompletion, "without values": nil} {
		verbs := CompVerbs(libraryRoot(completion))
		for _, shell := range Shells {
			script := shell.Write(verbs)
			if strings.Contains(script, "QUERY_FLAG") || strings.Contains(script, "IS_PATH") || strings.Contains(script, "%!") {
				t.Errorf("%s: the completion of %s has a place that was not filled", name, shell.Name)
			}
			path, err := exec.LookPath(shell.Name)
			if err != nil || shell.Name == "powershell" {
				t.Logf("%s is not installed: its completion is not read", shell.Name)
				continue
			}
			cmd := exec.CommandContext(t.Context(), path, "-n", "/dev/stdin")
			cmd.Stdin = strings.NewReader(script)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s -n: %v\n%s", name, shell.Name, err, out)
			}
		}
	}
}

// gearmanWords are words that this package must not use.
var gearmanWords = regexp.MustCompile(`(?i)\b(gearman\w*|gm (status|jobs|serve|work|submit)\b|workers?|queues?|payloads?|handles? of|job servers?|stores)\b`)

// TestKitKnowsNothingOfGearman looks for words of Gearman in the files of the package.
func TestKitKnowsNothingOfGearman(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		found := gearmanWords.FindAllString(strings.Replace(string(text), "It knows nothing of Gearman.", "", 1), -1)
		if slices.Sort(found); len(found) > 0 {
			t.Errorf("%s: has words of Gearman: %q", file, slices.Compact(found))
		}
	}
}
