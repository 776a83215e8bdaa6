package cmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
	e.Stdout = &out
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
