//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The marks in the README between which the table stands.
const (
	tableBegin = "<!-- bench: written by make bench-readme -->\n"
	tableEnd   = "<!-- /bench -->\n"
)

// writeReadme puts the table of a run into a README, and the plots into a
// directory beside it.
func writeReadme(file string, r *record, all []*bench) error {
	if !r.Whole {
		return errors.New("the run left benches out, or was quick: not for the README")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(text, []byte(tableBegin))
	_, after, ended := bytes.Cut(rest, []byte(tableEnd))
	if !found || !ended {
		return fmt.Errorf("%s: no lines %q and %q", file, tableBegin, tableEnd)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s%s\n%s\n", before, tableBegin, strings.TrimSpace(fmt.Sprintf("Medians of %d interleaved rounds. %v.", r.Rounds, r.Machine)))
	fmt.Fprintf(&out, "\n%s", table(r, r.of(inTable, all)))
	for _, p := range pictures {
		svg := p.draw(r, r.of(p.plot, all))
		image := filepath.Join("docs", p.file)
		if err := os.MkdirAll(filepath.Join(filepath.Dir(file), "docs"), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), image), svg, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&out, "\n![%s](%s)\n", p.title, image)
	}
	fmt.Fprintf(&out, "\n%s%s", tableEnd, after)
	return os.WriteFile(file, []byte(out.String()), 0o644)
}

// table is the benches as Markdown, a row each.
func table(r *record, all []*bench) string {
	var out strings.Builder
	out.WriteString("| load | gm | gearmand, C tools | others | to be | is |\n|---|---|---|---|---|---|\n")
	for _, b := range all {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(b.row(r.Benches[b.name]), " | "))
	}
	return out.String()
}

// row is the cells of a bench.
func (b *bench) row(r results) []string {
	var others, want, is []string
	for _, c := range b.contenders {
		if c.who != gm && c.who != gearmand && c.who != gearmanC {
			others = append(others, c.who+" "+cell(r.medians(c.who)))
		}
	}
	for _, t := range b.targets {
		got, met := t.check(r)
		if !met {
			got = "**missed:** " + got
		}
		want, is = append(want, t.String()), append(is, got)
	}
	theirs := cell(r.medians(gearmand)) + cell(r.medians(gearmanC))
	return []string{b.title, cell(r.medians(gm)), theirs, lines(others), lines(want), lines(is)}
}

func lines(all []string) string { return strings.Join(all, "<br>") }
