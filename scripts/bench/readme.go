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

// pictureDir is where the README finds the pictures.
const pictureDir = "scripts/bench/pictures"

// section is a place in the README between two marks.
type section struct {
	begin, end string
	pictures   []picture
}

var (
	serversSection = section{"<!-- bench: written by make bench-readme -->\n", "<!-- /bench -->\n", pictures}
	batchesSection = section{"<!-- bench-batch: written by make bench-readme -->\n", "<!-- /bench-batch -->\n", nil}
)

// write writes the table of a run into a README, and the pictures into a
// directory next to it.
func (s section) write(file string, r *record, all []*bench) error {
	if !r.Whole {
		return errors.New("the run left benches out, or was quick: not for the README")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(text, []byte(s.begin))
	_, after, ended := bytes.Cut(rest, []byte(s.end))
	if !found || !ended {
		return fmt.Errorf("%s: no lines %q and %q", file, s.begin, s.end)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%s%s\nMedians of %d interleaved rounds. %v.\n", before, s.begin, r.Rounds, r.Machine)
	fmt.Fprintf(&out, "\n%s", table(r, r.of(inTable, all)))
	for _, p := range s.pictures {
		image := filepath.Join(pictureDir, p.file)
		if err := os.MkdirAll(filepath.Join(filepath.Dir(file), pictureDir), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), image), p.draw(r, r.of(p.plot, all)), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&out, "\n![%s](%s)\n", p.title, image)
	}
	fmt.Fprintf(&out, "\n%s%s", s.end, after)
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
	cells := []string{b.title, cell(r.medians(gm)), theirs, lines(others), lines(want), lines(is)}
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`) // a pipeline is no end of a cell
	}
	return cells
}

func lines(all []string) string { return strings.Join(all, "<br>") }
