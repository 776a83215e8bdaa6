package cmd

import (
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
	for name, flags := range usedMost() {
		for _, f := range flags {
			if root.sub(name).flag(f) == nil {
				t.Errorf("%s has no flag %s", name, f)
			}
		}
	}
}

// TestFlagsNameTheirDefaults checks that the text of a flag has its default, once, and
// that it is one line.
func TestFlagsNameTheirDefaults(t *testing.T) {
	flags := 0
	eachVerb(testRoot(), nil, func(words []string, v *verb) {
		for _, f := range v.Flags {
			d := newFlagDoc(f)
			flags++
			name := strings.Join(words, " ") + " " + d.spelling()
			if n := strings.Count(d.text, "(default "); n > 1 || n == 0 && (strings.Contains(d.text, "; 0 ") || strings.Contains(d.text, "default:")) {
				t.Errorf("%s: %d defaults: %s", name, n, d.text)
			}
			if strings.Contains(d.text, "\n") || strings.HasSuffix(d.text, ".") {
				t.Errorf("%s: want one line without a full stop: %s", name, d.text)
			}
		}
	})
	if flags < 200 {
		t.Errorf("%d flags, want more", flags)
	}
}
