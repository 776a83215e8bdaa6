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

// resultsFile is the file with all figures, and pictureDir the directory of its
// pictures, both relative to the README.
const (
	resultsFile = "scripts/bench/RESULTS.md"
	pictureDir  = "scripts/bench/pictures"
)

// marks are the lines around a text that this program writes.
type marks struct{ begin, end string }

// replaceIn replaces the text between the marks in a file by the result of text,
// which gets the old one.
func (m marks) replaceIn(file string, text func(old string) string) error {
	whole, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := bytes.Cut(whole, []byte(m.begin))
	old, after, ended := bytes.Cut(rest, []byte(m.end))
	if !found || !ended {
		return fmt.Errorf("%s: no lines %q and %q", file, m.begin, m.end)
	}
	out := fmt.Sprintf("%s%s%s%s%s", before, m.begin, text(string(old)), m.end, after)
	return os.WriteFile(file, []byte(out), 0o644)
}

// ratioMarks are around the table of ratios in the README.
var ratioMarks = marks{"<!-- ratios: written by make bench-readme -->\n", "<!-- /ratios -->\n"}

// section is the part of resultsFile that the benches of one command fill.
type section struct {
	marks
	pictures []picture
}

var (
	serversSection = section{marks{"<!-- bench: written by make bench-readme -->\n", "<!-- /bench -->\n"}, pictures}
	batchesSection = section{marks{"<!-- bench-batch: written by make bench-readme -->\n", "<!-- /bench-batch -->\n"}, nil}
)

// write writes the figures of a run into resultsFile, draws the pictures, and writes
// the run's ratios into the README.
func (s section) write(readme string, r *record, all []*bench) error {
	if !r.Whole {
		return errors.New("the run left benches out, or was quick: not for the README")
	}
	root := filepath.Dir(readme)
	var out strings.Builder
	fmt.Fprintf(&out, "\nMedians of %d interleaved rounds. %v.\n\n%s", r.Rounds, r.Machine, table(r, r.of(inTable, all)))
	if err := os.MkdirAll(filepath.Join(root, pictureDir), 0o755); err != nil {
		return err
	}
	for _, p := range s.pictures {
		if err := os.WriteFile(filepath.Join(root, pictureDir, p.file), p.draw(r, r.of(p.plot, all)), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&out, "\n![%s](%s/%s)\n", p.title, filepath.Base(pictureDir), p.file)
	}
	out.WriteString("\n")
	if err := s.replaceIn(filepath.Join(root, resultsFile), func(string) string { return out.String() }); err != nil {
		return err
	}
	return ratioMarks.replaceIn(readme, func(old string) string { return ratioTable(old, r, all) })
}

// table returns the benches as Markdown, a row each.
func table(r *record, all []*bench) string {
	var out strings.Builder
	out.WriteString("| load | gm | gearmand, C tools | others | gm compared |\n|---|---|---|---|---|\n")
	for _, b := range all {
		out.WriteString(markdownRow(b.row(r.Benches[b.name])))
	}
	return out.String()
}

// row returns the cells of a bench.
func (b *bench) row(r results) []string {
	var others, ratios []string
	for _, c := range b.contenders {
		if c.who == gm {
			continue
		}
		if c.who != gearmand && c.who != gearmanC {
			others = append(others, c.who+" "+cell(r.medians(c.who)))
		}
		if all := b.compare(r, c.who); len(all) > 0 {
			ratios = append(ratios, c.who+": "+strings.Join(all, ", "))
		}
	}
	theirs := cell(r.medians(gearmand)) + cell(r.medians(gearmanC))
	return []string{b.title, cell(r.medians(gm)), theirs, strings.Join(others, "<br>"), strings.Join(ratios, "<br>")}
}

// compare returns how much better gm is than a contender, in each unit of both.
func (b *bench) compare(r results, who string) (all []string) {
	for _, u := range units {
		if v, ok := advantage(r, who, u); ok {
			all = append(all, fmt.Sprintf("%s %s", factor(v), u))
		}
	}
	return all
}

func markdownRow(cells []string) string {
	for i := range cells {
		cells[i] = strings.ReplaceAll(cells[i], "|", `\|`) // a pipeline is no end of a cell
	}
	return fmt.Sprintf("| %s |\n", strings.Join(cells, " | "))
}
