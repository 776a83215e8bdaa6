package cmd

import (
	"os/exec"
	"strings"
	"testing"

	"gm/cmd/cli"
)

// TestManPages has mandoc and groff, where they are, look for mistakes.
func TestManPages(t *testing.T) {
	root := testRoot()
	paths := [][]*cli.Verb{{root}}
	for _, v := range root.Subs() {
		paths = append(paths, []*cli.Verb{root, v})
	}
	linters := [][]string{
		{"mandoc", "-Tlint", "-Wstyle"},
		{"groff", "-man", "-Tutf8", "-ww", "-z"},
	}
	for _, linter := range linters {
		if _, err := exec.LookPath(linter[0]); err != nil {
			t.Logf("%s is not installed: it does not check the manual pages", linter[0])
			continue
		}
		for _, path := range paths {
			cmd := exec.CommandContext(t.Context(), linter[0], linter[1:]...)
			cmd.Stdin = strings.NewReader(string(cli.ManPage(path, "2000-01-01")))
			out, err := cmd.CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%s %s: %v\n%s", linter[0], cli.ManName(path), err, out)
			}
		}
	}
}

func TestRoff(t *testing.T) {
	var m cli.ManWriter
	m.Macro("SH", `a "b"`, "", "-1")
	m.Text(cli.Roff(".begins with a dot\n'and a quote \\ back-slash"))
	want := `.SH "a \(dqb\(dq" "" "\-1"
\&.begins with a dot
\(aqand a quote \e back\-slash
`
	if got := m.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
