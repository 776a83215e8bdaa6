package cmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestShortHelpFitsAScreen asks each verb for -h: usage, a line for each flag or for
// those used most, and examples, within 80 columns and 23 lines.
func TestShortHelpFitsAScreen(t *testing.T) {
	root := testRoot()
	var walk func(path []*verb)
	walk = func(path []*verb) {
		v := path[len(path)-1]
		text := string(shortHelp(path))
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) > 23 {
			t.Errorf("%s: %d lines\n%s", fullName(path), len(lines), text)
		}
		for _, line := range lines {
			if textWidth(line) > 80 {
				t.Errorf("%s: %d columns: %s", fullName(path), textWidth(line), line)
			}
		}
		if !strings.Contains(text, "\nUsage: "+fullName(path)) || !strings.Contains(text, "gm help") {
			t.Errorf("%s: no usage, or no word of gm help\n%s", fullName(path), text)
		}
		if n := len(shortExamples(v)); n < min(len(v.examples), 1) || n > 3 {
			t.Errorf("%s: %d examples of %d", fullName(path), n, len(v.examples))
		}
		if !v.hasVerbs() {
			all := 0
			for _, group := range flagGroups(v) {
				all += len(group.flags)
			}
			if lines, left := shortFlags(v); len(lines)+left != all || len(lines) < min(all, 12) {
				t.Errorf("%s: %d of %d flags shown, %d left", fullName(path), len(lines), all, left)
			}
		}
		for _, sub := range v.subs() {
			walk(append(slices.Clone(path), sub))
		}
	}
	walk([]*verb{root})
}

func TestUsedMostAreFlags(t *testing.T) {
	root := testRoot()
	for name, flags := range usedMost {
		for _, f := range flags {
			if root.sub(name).flag(f) == nil {
				t.Errorf("%s has no flag %s", name, f)
			}
		}
	}
}

// TestPager shows long texts on a terminal through $PAGER, and short ones and texts
// for pipes as they are.
func TestPager(t *testing.T) {
	file := filepath.Join(t.TempDir(), "paged")
	t.Setenv("PAGER", "sed s/^/PAGED/ >"+file)
	term := runInTerminal(t, 80, 24, "gm", "help", "serve")
	if code := term.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	paged, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(paged, []byte("PAGEDgm serve - ")) || !bytes.Contains(paged, []byte("PAGEDExit codes:")) {
		t.Errorf("$PAGER got %v, %q", err, paged)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	term = runInTerminal(t, 80, 24, "gm", "serve", "-h")
	term.wait(t)
	term.check(t)
	if !strings.Contains(term.text(), "Usage: gm serve") {
		t.Errorf("-h is paged:\n%s", term.text())
	}
	e, _ := testEnv(os.Getenv)
	var out bytes.Buffer
	e.stdout = &out
	if code := e.run(context.Background(), []string{"gm", "help", "serve"}); code != 0 || !strings.Contains(out.String(), "Exit codes:") {
		t.Errorf("gm help serve into a pipe: %d, %q", code, out.String())
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("what is no terminal, or fits, is paged")
	}
}

// TestManOnATerminal shows a formatted page, not roff.
func TestManOnATerminal(t *testing.T) {
	t.Setenv("PAGER", "cat")
	t.Setenv("MANPAGER", "cat")
	term := runInTerminal(t, 80, 24, "gm", "man", "ping")
	if code := term.wait(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	text := term.text()
	if strings.Contains(text, ".SH") || strings.Contains(text, `\fB`) || !strings.Contains(text, "gm ping") {
		t.Errorf("got\n%s", text)
	}
}
