package cmd

import (
	"bytes"
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
	pages := map[string][]byte{}
	for _, path := range paths {
		pages[cli.ManName(path)] = cli.ManPage(path, "2000-01-01")
	}
	for i := range gmProgram.Topics {
		topic := &gmProgram.Topics[i]
		pages[topic.PageName()] = cli.TopicPage(root, topic, "2000-01-01")
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
		for name, page := range pages {
			cmd := exec.CommandContext(t.Context(), linter[0], linter[1:]...)
			cmd.Stdin = bytes.NewReader(page)
			out, err := cmd.CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%s %s: %v\n%s", linter[0], name, err, out)
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

// TestTopicPages checks that a topic refers to existing verbs, and their pages to it.
func TestTopicPages(t *testing.T) {
	root := testRoot()
	for i := range gmProgram.Topics {
		topic := &gmProgram.Topics[i]
		reference := `\fB` + cli.Roff(topic.PageName()) + `\fR(7)`
		for _, path := range [][]*cli.Verb{{root}, {root, root.Sub(topic.Verbs[0])}} {
			if page := cli.ManPage(path, ""); !bytes.Contains(page, []byte(reference)) {
				t.Errorf("%s does not refer to %s", cli.ManName(path), topic.PageName())
			}
		}
		for _, name := range topic.Verbs {
			if root.Sub(name) == nil {
				t.Errorf("%s refers to %s, which is no verb", topic.PageName(), name)
			}
		}
	}
}

// TestTopicWidth checks that the code of topics fits on a screen, after four blanks.
func TestTopicWidth(t *testing.T) {
	for i := range gmProgram.Topics {
		for _, b := range gmProgram.Topics[i].Blocks() {
			for line := range strings.Lines(b.Text) {
				if b.Kind == cli.TopicCode && len(line) > len("\n")+76 {
					t.Errorf("%d bytes: %s", len(line), line)
				}
			}
		}
	}
}
