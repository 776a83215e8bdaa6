//go:build unix

package runner

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// debianAwk returns a directory for $PATH in which awk is mawk, as on a plain
// Debian: a link to a link.
func debianAwk(t *testing.T) string {
	t.Helper()
	mawk, err := exec.LookPath("mawk")
	if err != nil {
		t.Skip("mawk is not installed")
	}
	dir := t.TempDir()
	alternative := filepath.Join(dir, "alternative")
	if err := os.Symlink(mawk, alternative); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(alternative, filepath.Join(dir, "awk")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeScript(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each of these programs holds back its input or output when they are pipes, or
// does with most flags. As a kept command it answers job after job.
func TestKnownProgramsAnswerAtOnce(t *testing.T) {
	t.Setenv("PATH", debianAwk(t)+":"+os.Getenv("PATH"))
	perl := "while (<STDIN>) { print $_ * 2, \"\\n\" }"
	python := "import sys\nwhile True:\n    x = sys.stdin.readline()\n    if not x: break\n    print(int(x) * 2)\n"
	for _, test := range []struct {
		name string
		args []string
	}{
		{"awk", []string{"awk", "{ print $1 * 2; fflush() }"}},
		{"awk without fflush", []string{"awk", "{ print $1 * 2 }"}},
		{"awk with flags", []string{"awk", "-v", "n=2", "{ print $1 * n }"}},
		{"awk told already", []string{"awk", "-W", "interactive", "{ print $1 * 2 }"}},
		{"mawk", []string{"mawk", "{ print $1 * 2 }"}},
		{"gawk", []string{"gawk", "{ print $1 * 2; fflush() }"}},
		{"awk behind env and nice", []string{"env", "A=b", "nice", "-n", "1", "awk", "{ print $1 * 2 }"}},
		{"sed", []string{"sed", "s/^1$/2/; t; s/^2$/4/; t; s/^3$/6/"}},
		{"jq", []string{"jq", ". * 2"}},
		{"perl", []string{"perl", "-e", perl}},
		{"perl script", []string{writeScript(t, "#!/usr/bin/perl -w\n"+perl)}},
		{"perl script of env", []string{writeScript(t, "#!/usr/bin/env perl\n"+perl)}},
		{"python3", []string{"python3", "-c", python}},
		{"python3 script", []string{writeScript(t, "#!/usr/bin/env python3\n"+python)}},
		{"node", []string{"node", "-e", "require('readline').createInterface({input: process.stdin}).on('line', l => console.log(l * 2))"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := exec.LookPath(test.args[0]); err != nil {
				t.Skipf("%s is not installed", test.args[0])
			}
			adapted := AdaptKept(test.args, false)
			if adapted.Hint != "" {
				t.Errorf("hint %q", adapted.Hint)
			}
			k := &Keeper{Command: &Command{Args: adapted.Args, Timeout: 20 * time.Second}, Env: adapted.Env}
			defer k.Close(t.Context())
			for n := 1; n <= 3; n++ {
				if out, res := do(t, k, fmt.Sprint(n)); out != fmt.Sprintln(2*n) || !res.OK() {
					t.Fatalf("%d: got %q, %v", n, out, res.Err())
				}
			}
		})
	}
}

func TestGrepAnswersAtOnce(t *testing.T) {
	adapted := AdaptKept([]string{"grep", "."}, false)
	k := &Keeper{Command: &Command{Args: adapted.Args, Timeout: 20 * time.Second}, Env: adapted.Env}
	defer k.Close(t.Context())
	if out, res := do(t, k, "a"); out != "a\n" || !res.OK() {
		t.Fatalf("got %q, %v", out, res.Err())
	}
}

// A command that needs a change by its author gets a hint.
func TestHintsForKeptCommands(t *testing.T) {
	t.Setenv("PATH", debianAwk(t)+":"+os.Getenv("PATH"))
	awkScript := writeScript(t, "#!"+strings.TrimSpace(findProgram(t, "awk"))+" -f\n{ print }\n")
	flushing := writeScript(t, "{ print; fflush() }\n")
	for _, test := range []struct {
		args  []string
		shell bool
		hint  string // a part of the hint; "" if the error has no hint
	}{
		{[]string{"awk '{ print; fflush() }'"}, true, "mawk reads until its buffer is full: awk -W interactive"},
		{[]string{"exec mawk '{ print }'"}, true, "mawk -W interactive"},
		{[]string{"awk -W interactive '{ print }'"}, true, ""},
		{[]string{"while read x; do echo $x; done"}, true, ""},
		{[]string{"sh", "-c", "awk '{ print }' | cat"}, false, "awk -W interactive"},
		{[]string{"tr", "a-z", "A-Z"}, false, "stdbuf -oL"},
		{[]string{"stdbuf", "-oL", "tr", "a-z", "A-Z"}, false, ""},
		{[]string{"gawk", "{ print }"}, false, "fflush()"},
		{[]string{"gawk", "-f", flushing}, false, ""},
		{[]string{awkScript}, false, "add -W interactive to the first line"},
		{[]string{"cat"}, false, ""},
		{[]string{"no-such-program"}, false, ""},
		{[]string{"env"}, false, ""},
	} {
		if _, err := exec.LookPath("gawk"); err != nil && test.args[0] == "gawk" {
			t.Log("gawk is not installed")
			continue
		}
		before := slices.Clone(test.args)
		got := AdaptKept(test.args, test.shell)
		if !strings.Contains(got.Hint, test.hint) || (test.hint == "") != (got.Hint == "") {
			t.Errorf("%q: hint %q, want %q", test.args, got.Hint, test.hint)
		}
		if !slices.Equal(before, test.args) {
			t.Errorf("%q was changed to %q", before, test.args)
		}
	}
}

func findProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
