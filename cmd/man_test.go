package cmd

import (
	"os/exec"
	"strings"
	"testing"
)

// TestManPages has mandoc and groff, where they are, look for mistakes.
func TestManPages(t *testing.T) {
	root := testRoot()
	paths := [][]*verb{{root}}
	for _, v := range root.subs() {
		paths = append(paths, []*verb{root, v})
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
			cmd.Stdin = strings.NewReader(string(manPage(path, "2000-01-01")))
			out, err := cmd.CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%s %s: %v\n%s", linter[0], manName(path), err, out)
			}
		}
	}
}

func TestRoff(t *testing.T) {
	var m manWriter
	m.macro("SH", `a "b"`, "", "-1")
	m.text(roff(".begins with a dot\n'and a quote \\ back-slash"))
	want := `.SH "a \(dqb\(dq" "" "\-1"
\&.begins with a dot
\(aqand a quote \e back\-slash
`
	if got := m.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
