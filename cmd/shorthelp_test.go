package cmd

import (
	"slices"
	"strings"
	"testing"

	"gm/cmd/cli"
)

// TestShortHelpFitsAScreen asks each verb for -h: usage, a line for each flag or for
// those used most, and examples, within 80 columns and 23 lines.
func TestShortHelpFitsAScreen(t *testing.T) {
	root := testRoot()
	var walk func(path []*cli.Verb)
	walk = func(path []*cli.Verb) {
		v := path[len(path)-1]
		text := string(cli.ShortHelp(path))
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) > 23 {
			t.Errorf("%s: %d lines\n%s", cli.FullName(path), len(lines), text)
		}
		for _, line := range lines {
			if cli.TextWidth(line) > 80 {
				t.Errorf("%s: %d columns: %s", cli.FullName(path), cli.TextWidth(line), line)
			}
		}
		if !strings.Contains(text, "\nUsage: "+cli.FullName(path)) || !strings.Contains(text, "gm help") {
			t.Errorf("%s: no usage, or no word of gm help\n%s", cli.FullName(path), text)
		}
		if n := len(cli.ShortExamples(v)); n < min(len(v.Examples), 1) || n > 3 {
			t.Errorf("%s: %d examples of %d", cli.FullName(path), n, len(v.Examples))
		}
		if !v.HasVerbs() {
			all := 0
			for _, group := range cli.FlagGroups(v) {
				all += len(group.Flags)
			}
			if lines, left := cli.ShortFlags(v); len(lines)+left != all || len(lines) < min(all, 12) {
				t.Errorf("%s: %d of %d flags shown, %d left", cli.FullName(path), len(lines), all, left)
			}
		}
		for _, sub := range v.Subs() {
			walk(append(slices.Clone(path), sub))
		}
	}
	walk([]*cli.Verb{root})
}

func TestUsedMostAreFlags(t *testing.T) {
	root := testRoot()
	for name, flags := range mostUsedFlags() {
		for _, f := range flags {
			if root.Sub(name).Flag(f) == nil {
				t.Errorf("%s has no flag %s", name, f)
			}
		}
	}
}

// TestFlagsNameTheirDefaults checks that the text of a flag has its default, once, and
// that it is one line.
func TestFlagsNameTheirDefaults(t *testing.T) {
	flags := 0
	eachVerb(testRoot(), nil, func(words []string, v *cli.Verb) {
		for _, f := range v.Flags {
			d := cli.NewFlagDoc(f)
			flags++
			name := strings.Join(words, " ") + " " + d.Spelling()
			if n := strings.Count(d.Text, "(default "); n > 1 || n == 0 && (strings.Contains(d.Text, "; 0 ") || strings.Contains(d.Text, "default:")) {
				t.Errorf("%s: %d defaults: %s", name, n, d.Text)
			}
			if strings.Contains(d.Text, "\n") || strings.HasSuffix(d.Text, ".") {
				t.Errorf("%s: want one line without a full stop: %s", name, d.Text)
			}
		}
	})
	if flags < 200 {
		t.Errorf("%d flags, want more", flags)
	}
}
