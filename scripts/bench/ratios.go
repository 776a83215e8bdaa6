//go:build linux

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// ratio is a row of the README's table: one figure of one bench.
type ratio struct {
	title string
	bench string
	unit  unit
}

var ratios = []ratio{
	{"background jobs submitted per second", "submit", rate},
	{"the same, each job with its own unique", "submit-unique-300k", rate},
	{"the same on disk; gearmand with SQLite", "durable-8x64", rate},
	{"jobs done per second, 8 workers", "drain", rate},
	{"processor time of the server for each of them", "drain", cpu},
	{"time of a foreground job, 1 client, 1 worker", "foreground-1x1", p50},
	{"foreground jobs per second, 8 clients, 8 workers", "foreground-8x32", rate},
	{"foreground jobs per second, 200 workers asleep", "foreground-sleepers", rate},
	{"memory of a waiting job of 100 bytes", "memory", each},
	{"memory of an idle worker", "idle", each},
	{"`gm submit`, time of the whole process", "process-submit", took},
	{"`gm work -j2`, a process for each job", "process-work-j2", rate},
	{"`gm map`, a line of awk for each record", "map", records},
	{"`gm map --reduce`, word count of 60 MB", "wordcount", took},
	{"`gm map --files`, 200 images", "convert", took},
}

// advantage returns how many times as good as a contender gm is: as much of a figure
// that should be high, as little of one that should be low. It reports whether both
// have the figure.
func advantage(r results, who string, u unit) (float64, bool) {
	mine, theirs := r.median(gm, u), r.median(who, u)
	if mine <= 0 || theirs <= 0 {
		return 0, false
	}
	if slices.Contains([]unit{rate, records, speed}, u) {
		return r.factor(gm, who, u), true
	}
	return r.factor(who, gm, u), true
}

// factor returns v with two digits: 390 x, 2.4 x.
func factor(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f x", math.Round(v/10)*10)
	case v >= 9.95:
		return fmt.Sprintf("%.0f x", v)
	}
	return fmt.Sprintf("%.2g x", v)
}

// ratioTable returns the README's table: rows of the benches of this run, and the old
// table's rows of other benches.
func ratioTable(old string, r *record, all []*bench) string {
	var out strings.Builder
	out.WriteString("\n| gm compared with | gearmand and its tools | beanstalkd | Redis | others |\n|---|---|---|---|---|\n")
	for _, row := range ratios {
		i := slices.IndexFunc(all, func(b *bench) bool { return b.name == row.bench })
		switch {
		case i >= 0 && r.Benches[row.bench] != nil:
			out.WriteString(markdownRow(row.cells(r.Benches[row.bench], all[i])))
		default:
			out.WriteString(oldRow(old, row.title))
		}
	}
	return out.String() + "\n"
}

// oldRow returns the row of a table that begins with title, or nothing.
func oldRow(table, title string) string {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| "+title+" |") {
			return line
		}
	}
	return ""
}

// cells returns the title and one cell for each column. Other forms of gm are left out.
func (row ratio) cells(r results, b *bench) []string {
	cells := []string{row.title, "", "", "", ""}
	for _, c := range b.contenders {
		v, ok := advantage(r, c.who, row.unit)
		switch {
		case !ok, c.who == gm, strings.HasPrefix(c.who, gm+" "), strings.HasPrefix(c.who, gm+","):
		case c.who == gearmand, c.who == gearmanC, c.who == lineWise:
			cells[1] = factor(v)
		case c.who == beanstalkd:
			cells[2] = factor(v)
		case c.who == redis:
			cells[3] = factor(v)
		default:
			cells[4] = fmt.Sprintf("`%s` %s", c.who, factor(v))
		}
	}
	return cells
}
