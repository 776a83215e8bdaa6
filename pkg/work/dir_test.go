package work

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// TestDirectory reads a directory after each change and compares the lines of the
// log and the functions.
func TestDirectory(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, "jobs", name) }
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(at(""), 0o755))

	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "error" || a.Key == "dir" {
				return slog.Attr{}
			}
			return a
		},
	}))
	d, err := newDirectory(at(""), []string{"a", "b", "b c", "dir", "link", "broken", "pipe"}, func(path string) *runner.Command {
		return &runner.Command{Args: []string{path}}
	}, logger)
	must(err)
	w, err := gearman.NewWorker(gearman.WorkerOptions{})
	must(err)
	handle := func(context.Context, *gearman.Job) ([]byte, error) { return nil, nil }
	d.start(w, handle)

	steps := []struct {
		name   string
		change func()
		log    string
		can    string
	}{
		{"nothing", func() {}, "", ""},
		{
			"all kinds",
			func() {
				write("a", "1", 0o755)
				write("b", "1", 0o644)
				write("b c", "1", 0o755)
				write("other", "1", 0o755)
				write(".a", "1", 0o755)
				must(os.Mkdir(at("dir"), 0o755))
				must(os.Symlink("a", at("link")))
				must(os.Symlink("nowhere", at("broken")))
			},
			`msg="function taken up" function=a
msg="file left out" file=b reason="not executable"
msg="file left out" file="b c" reason="blanks in its name"
msg="function taken up" function=link
`, "a link",
		},
		{"nothing again", func() {}, "", "a link"},
		{
			"a write, a chmod, a link that leads elsewhere",
			func() {
				write("a", "longer", 0o755)
				must(os.Chmod(at("b"), 0o755))
				must(os.Remove(at("link")))
				must(os.Symlink("b", at("link")))
			},
			`msg="function changed" function=a
msg="function taken up" function=b
msg="function changed" function=link
`, "a b link",
		},
		{
			"a replacement of equal size", func() {
				write(".new", "longer", 0o755)
				must(os.Rename(at(".new"), at("a")))
			}, "msg=\"function changed\" function=a\n", "a b link",
		},
		{
			"chmod and removal", func() {
				must(os.Chmod(at("a"), 0o600))
				must(os.Remove(at("b")))
			}, `msg="function removed" function=a
msg="function removed" function=b
msg="function removed" function=link
`, "",
		},
		{"the directory goes", func() { must(os.Rename(at(""), filepath.Join(root, "away"))) }, "msg=\"directory not read\"\n", ""},
		{"it is a file", func() { must(os.WriteFile(filepath.Join(root, "jobs"), nil, 0o600)) }, "msg=\"directory not read\"\n", ""},
		{
			"it is back", func() {
				must(os.Chmod(filepath.Join(root, "away", "a"), 0o700))
				must(os.Remove(filepath.Join(root, "jobs")))
				must(os.Symlink("away", filepath.Join(root, "jobs")))
			}, `msg="directory back"
msg="function taken up" function=a
msg="file left out" file="b c" reason="blanks in its name"
`, "a",
		},
	}
	for _, step := range steps {
		step.change()
		log.Reset()
		d.update(w, handle)
		if log.String() != step.log {
			t.Errorf("%s: got the log\n%swant\n%s", step.name, log.String(), step.log)
		}
		can := ""
		for _, name := range d.only {
			if c := d.command(name); c != nil {
				can += " " + name
				if c.Args[0] != at(name) || d.lacksFile(c) {
					t.Errorf("%s: %s is done by %q", step.name, name, c.Args)
				}
			}
		}
		if can = strings.TrimSpace(can); can != step.can {
			t.Errorf("%s: got functions %q, want %q", step.name, can, step.can)
		}
	}
}
