package cmd

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gm/cmd/cli"
)

var update = flag.Bool("update", false, "write completions/ anew")

// testRoot returns the real command table.
func testRoot() *cli.Verb { return newRoot(&env{}) }

func TestCompletionsAreCurrent(t *testing.T) {
	verbs := cli.CompVerbs(testRoot())
	for _, shell := range cli.Shells {
		path := filepath.Join("..", "completions", shell.File)
		want := shell.Write(verbs)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what gm completion %s prints; go test ./cmd -run Completions -update writes it", path, shell.Name)
		}
	}
}

// TestCompletionSyntax has each shell that is there read its completion.
func TestCompletionSyntax(t *testing.T) {
	verbs := cli.CompVerbs(testRoot())
	for _, shell := range cli.Shells[:3] {
		path, err := exec.LookPath(shell.Name)
		if err != nil {
			t.Logf("%s is not installed: its completion is not read", shell.Name)
			continue
		}
		cmd := exec.CommandContext(t.Context(), path, "-n", "/dev/stdin")
		cmd.Stdin = strings.NewReader(shell.Write(verbs))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s -n: %v\n%s", shell.Name, err, out)
		}
	}
}

// TestBashCompletes compares the proposals of bash.
func TestBashCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	tests := []struct{ line, want string }{
		{"gm stat", "status"},
		{"gm help stat", "status"},
		{"gm help sq", "sql"},
		{"gm sq", ""},
		{"gm admin help sq", ""},
		{"gm status --outp", "--output"},
		{"gm status -o j", "json jsonl"},
		{"gm status --output=j", "json jsonl"},
		{"gm status resize --output j", "json jsonl"},
		{"gm status -o", "-o"},
		{"gm -s localhost:1 admin pau", "pause"},
		{"gm admin -s x shut", "shutdown"},
		{"gm jobs --state ", "waiting delayed running dead"},
		{"gm completion z", "zsh"},
		{"gm submit -o ", "json jsonl"},
		{"gm map --output=", "json jsonl"},
		{"gm work --next-priority s", "same"},
		{"gm serve --log-level w", "warn"},
		{"gm map --halt no", "now,fail=1"},
		{"gm status --context h", "home"},
		{"gm serve --store po", "postgres://"},
		{"gm serve --store disk:FOLDER/in", "FOLDER/inner"},
		{"gm serve --store=sqlite:FOLDER/a", "FOLDER/a.db"},
		{"gm store check disk:FOLDER/in", "FOLDER/inner"},
		{"gm serve --data FOLDER/i", "FOLDER/inner"},
		{"gm serve --log-file FOLDER/a", "FOLDER/a.db"},
		{"FAKE status th", "thumb"},
		{"FAKE map --reduce th", "thumb"},
		{"FAKE submit --reducer th", "thumb"},
		{"FAKE work --next th", "thumb"},
		{"FAKE work --on-fail th", "thumb"},
		{"FAKE pipe thumb re", "resize"},
		{"FAKE cancel -f th", "thumb"},
		{"FAKE retry H", "H:host:2"},
		{"FAKE cancel H", "H:host:1"},
		{"gm man ping", "ping"},
		{"gm man sq", "sql"},
		{"gm status -- --out", ""},
		{"gm nosuch --out", ""},
	}
	script := cli.BashCompletion(cli.CompVerbs(testRoot())) + `
while IFS= read -r COMP_LINE; do
    COMP_POINT=${#COMP_LINE} COMP_WORDBREAKS=$' \t\n"\'><=;|&(:' COMPREPLY=()
    _gm
    echo "${COMPREPLY[*]}"
done
`
	folder := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(folder, "inner"), 0o700),
		os.WriteFile(filepath.Join(folder, "a.db"), nil, 0o600),
		os.WriteFile(filepath.Join(folder, "config.toml"), []byte("[contexts.home]\nservers = [\"a\"]\n[contexts.\"work\"]\n"), 0o600),
		os.WriteFile(filepath.Join(folder, "fake"), []byte(fakeServer), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GM_CONFIG", filepath.Join(folder, "config.toml"))
	for i := range tests {
		places := strings.NewReplacer("FOLDER", folder, "FAKE", filepath.Join(folder, "fake"))
		tests[i].line, tests[i].want = places.Replace(tests[i].line), places.Replace(tests[i].want)
	}
	file := filepath.Join(t.TempDir(), "gm.bash")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, test := range tests {
		lines = append(lines, test.line)
	}
	cmd := exec.CommandContext(context.Background(), bash, file)
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

// fakeServer is a gm that answers the requests of completions.
const fakeServer = `#!/bin/sh
case "$*" in
status*) printf 'resize\t0\nthumb\t1\n' ;;
"jobs --dead"*) printf 's\tH:host:2\n' ;;
jobs*) printf 's\tH:host:1\n' ;;
esac
`

// TestChoicesAreOfFlags checks that the proposed words belong to existing flags, and that
// every value with a telling name has its kind.
func TestChoicesAreOfFlags(t *testing.T) {
	unused := map[string]bool{}
	for key := range completionWords().Choices {
		unused[key] = true
	}
	for _, v := range cli.CompVerbs(testRoot()) {
		for _, f := range v.Flags {
			long := f.Names[len(f.Names)-1]
			delete(unused, long)
			delete(unused, v.Path+" "+long)
			want := map[string]cli.CompKind{"FUNC": "functions", "DIR": cli.CompDirs, "FILE": cli.CompFiles, "URL": "stores"}[f.Value]
			if want != "" && f.Kind != want {
				t.Errorf("%s --%s %s: kind %q, want %q", v.Path, long, f.Value, f.Kind, want)
			}
		}
	}
	for key := range unused {
		t.Errorf("choices of %s, which is no flag", key)
	}
}

// TestVerbs checks the texts that every verb must have.
func TestVerbs(t *testing.T) {
	for _, n := range verbs {
		if name := n.make(&env{}).Name; name != n.name {
			t.Errorf("%s is in the table as %s", name, n.name)
		}
	}
	var walk func(path []*cli.Verb)
	walk = func(path []*cli.Verb) {
		v := path[len(path)-1]
		t.Run(cli.FullName(path), func(t *testing.T) { checkVerb(t, path) })
		for _, sub := range v.Subs() {
			walk(append(slices.Clone(path), sub))
		}
	}
	walk([]*cli.Verb{testRoot()})
}

func checkVerb(t *testing.T, path []*cli.Verb) {
	v := path[len(path)-1]
	if v.Usage == "" || strings.HasSuffix(v.Usage, ".") {
		t.Errorf("usage %q: want a phrase without a full stop", v.Usage)
	}
	if !v.HasVerbs() && len(v.Examples) == 0 {
		t.Error("no examples")
	}
	if (v.Action == nil) != v.HasVerbs() {
		t.Error("want either an action or subcommands")
	}
	seen := map[string]bool{}
	for _, f := range v.Flags {
		for _, name := range cli.FlagNames(f) {
			if seen[name] {
				t.Errorf("flag %s is there twice", cli.Dashed(name))
			}
			seen[name] = true
		}
		if cli.NewFlagDoc(f).Text == "" {
			t.Errorf("flag %s has no text", cli.Dashed(cli.FlagNames(f)[0]))
		}
	}
	for _, code := range v.Exits {
		if exitTexts[code] == "" {
			t.Errorf("exit code %d has no text", code)
		}
	}
	for _, x := range v.Examples {
		for _, words := range gmCommands(x.Line) {
			if _, err := cli.ParseArgs(path[0], words); err != nil {
				t.Errorf("example %q: %v", x.Line, err)
			}
		}
	}
}

// gmCommands returns the arguments of each gm in a shell line, as far as that
// can be told without being a shell.
func gmCommands(line string) [][]string {
	var all [][]string
	var words []string
	end := func() {
		if len(words) > 0 && words[0] == "gm" {
			all = append(all, words[1:])
		}
		words = nil
	}
	word, quote, inWord := "", rune(0), false
	endWord := func() {
		if inWord {
			words = append(words, word)
		}
		word, inWord = "", false
	}
	for _, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word += string(r)
			}
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case strings.ContainsRune("|;&()<>\n", r):
			endWord()
			end()
		case r == ' ':
			endWord()
			if len(words) == 1 && slices.Contains([]string{"do", "until", "while", "xargs", "sudo", "if", "then"}, words[0]) {
				words = nil
			}
		default:
			word, inWord = word+string(r), true
		}
	}
	endWord()
	end()
	return all
}
