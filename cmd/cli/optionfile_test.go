package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// TestSplitWords splits texts with quotes and comments.
func TestSplitWords(t *testing.T) {
	for _, tc := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"--port=1 --daemon\n", []string{"--port=1", "--daemon"}},
		{"# all\n-v # loud\r\n--a#b", []string{"-v", "--a#b"}},
		{`--libpq-conninfo='host=a dbname=b' "x y"'z' ''`, []string{"--libpq-conninfo=host=a dbname=b", "x yz", ""}},
		{"# no end", nil},
	} {
		got, err := splitWords(tc.text)
		if err != nil || strings.Join(got, "|") != strings.Join(tc.want, "|") || len(got) != len(tc.want) {
			t.Errorf("splitWords(%q) = %q, %v, want %q", tc.text, got, err, tc.want)
		}
	}
	if _, err := splitWords(`a "b`); err == nil {
		t.Error("an open quote is accepted")
	}
}

// parseTestVerb returns the context of a verb run, and its root.
func parseTestVerb(t *testing.T, args ...string) (*Verb, *urfave.Context) {
	t.Helper()
	newRoot := func() *Verb {
		return &Verb{Command: &urfave.Command{Name: "gm"}, Verbs: []*Verb{{Command: &urfave.Command{Name: "run", Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "file"}, &urfave.StringFlag{Name: "a"}, &urfave.StringFlag{Name: "b"}, &urfave.IntFlag{Name: "n"},
		}}}}}
	}
	call, err := ParseArgs(newRoot(), append([]string{"run"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	c, err := call.Context()
	if err != nil {
		t.Fatal(err)
	}
	return newRoot(), c
}

// TestSetFromFile checks that the command line has precedence over the file.
func TestSetFromFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "options")
	if err := os.WriteFile(file, []byte("-a 'of the file' -b too\n-n 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, c := parseTestVerb(t, "--file", file, "-b", "of the line")
	if err := SetFromFile(root, c, "file"); err != nil {
		t.Fatal(err)
	}
	if a, b, n := c.String("a"), c.String("b"), c.Int("n"); a != "of the file" || b != "of the line" || n != 3 {
		t.Errorf("got %q, %q, %d, want of the file, of the line, 3", a, b, n)
	}
	root, c = parseTestVerb(t)
	if err := SetFromFile(root, c, "file"); err != nil || c.IsSet("a") {
		t.Errorf("without a file: %v", err)
	}
}

// TestSetFromFileErrors checks that errors are usage errors and name the file.
func TestSetFromFileErrors(t *testing.T) {
	for text, want := range map[string]string{
		"--nosuch":  "unknown flag --nosuch",
		"--a 'x":    "missing closing quote",
		"word":      "want only options",
		"--help":    "want only options",
		"-n number": `invalid value "number" for flag -n`,
	} {
		file := filepath.Join(t.TempDir(), "options")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		root, c := parseTestVerb(t, "--file", file)
		err := SetFromFile(root, c, "file")
		exit, _ := err.(*ExitError)
		if exit == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), file+": ") {
			t.Errorf("%s: got %v, want a usage error with %s: and %s", text, err, file, want)
		}
	}
	root, c := parseTestVerb(t, "--file", filepath.Join(t.TempDir(), "nosuch"))
	if err := SetFromFile(root, c, "file"); err == nil || !strings.HasPrefix(err.Error(), "read --file: ") {
		t.Errorf("got %v, want that the file cannot be read", err)
	}
}
