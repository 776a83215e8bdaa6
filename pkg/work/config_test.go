package work

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gm/pkg/runner"
)

func TestNewRefusesMistakes(t *testing.T) {
	f, cat := []string{"f"}, []string{"cat"}
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{}, "config: no function"},
		{Config{Functions: f}, "config: no command, no directory and no output"},
		{Config{Functions: f, Command: cat, Dir: "."}, "config: both a directory and a command"},
		{Config{Dir: ".", Shell: true}, "config: a shell for the files of a directory"},
		{Config{Functions: f, Command: cat, Jobs: -1}, "config: -1 jobs at the same time: not a positive number"},
		{Config{Functions: f, Command: cat, Idle: time.Second}, "config: an idle time without UntilEmpty"},
		{Config{Functions: f, Commands: map[string][]string{"g": cat}}, `config: command of function "g", which is not in Functions`},
		{Config{Functions: []string{"f", "g"}, Commands: map[string][]string{"f": cat}}, `config: function "g" has no command`},
		{Config{Functions: f, Command: cat, Keep: Keep{Protocol: "lines"}}, `config: protocol "lines": not line, netstring or json`},
		{Config{Functions: f, Command: cat, Keep: Keep{MaxJobs: 1}}, "config: a limit of kept children without a protocol"},
		{Config{Functions: f, Output: io.Discard, Keep: Keep{Protocol: KeepLine}}, "config: kept children need one command for all functions"},
		{Config{Functions: f, Command: cat, Lines: true, Keep: Keep{Protocol: KeepLine}}, "config: stdout of kept children cannot be streamed"},
		{Config{Functions: f, Command: cat, Attempts: true, Keep: Keep{Protocol: KeepLine}}, "config: attempts need protocol json, not line"},
		{Config{Functions: f, Command: cat, ID: "a b"}, `options: id "a b" has blanks or a NUL`},
		{Config{Functions: []string{"a b\x00"}, Command: cat}, `"a b\x00"`},
	} {
		if w, err := New(tt.config); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, %v, want %s", tt.config, w, err, tt.want)
		}
	}
}

func TestNewLooksForThePrograms(t *testing.T) {
	f, none := []string{"f"}, []string{filepath.Join(t.TempDir(), "none")}
	if _, err := New(Config{Functions: f, Command: none}); !errors.Is(err, runner.ErrNotFound) {
		t.Errorf("a command: got %v, want %v", err, runner.ErrNotFound)
	}
	if _, err := New(Config{Functions: f, Commands: map[string][]string{"f": none}}); !errors.Is(err, runner.ErrNotFound) {
		t.Errorf("a command of a function: got %v, want %v", err, runner.ErrNotFound)
	}
	if _, err := New(Config{Functions: f, Command: []string{t.TempDir() + "/"}}); !errors.Is(err, runner.ErrNotExecutable) {
		t.Errorf("a directory: got %v, want %v", err, runner.ErrNotExecutable)
	}
	var path *fs.PathError
	if _, err := New(Config{Dir: none[0]}); !errors.As(err, &path) {
		t.Errorf("a directory of programs: got %v, want a PathError", err)
	}
}

func TestProgramsDoNotGetSecrets(t *testing.T) {
	t.Setenv("GM_STORE", "postgres://u:secret@h/")
	t.Setenv("OTHER_SECRET", "x")
	t.Setenv("NO_SECRET", "x")
	c, err := Config{Functions: []string{"f"}, Command: []string{"cat"}, Secrets: []string{"OTHER_SECRET"}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"GM_STORE": false, "OTHER_SECRET": false, "NO_SECRET": true} {
		got := slices.ContainsFunc(c.Env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
		if got != want {
			t.Errorf("%s: got %t, want %t", name, got, want)
		}
	}
}
