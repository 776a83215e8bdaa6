//go:build linux

package main

import (
	"fmt"
	"strings"
)

// target is what a figure of gm, or of another contender, is to be.
type target struct {
	who    string // gm if empty
	what   unit
	sign   string  // atLeast or atMost
	bound  float64 // a factor, or the figure itself if it is of nobody
	others string  // whose figure the factor is of; empty for nobody
}

const (
	atLeast = "at least"
	atMost  = "at most"
)

// of says whose figure is bound.
func (t target) of() string {
	if t.who == "" {
		return gm
	}
	return t.who
}

// String is the target in words.
func (t target) String() string {
	if t.others == "" {
		return fmt.Sprintf("%s %s", t.sign, show(t.what, t.bound))
	}
	return fmt.Sprintf("%s: %s %g x %s", t.what, t.sign, t.bound, t.others)
}

// check returns the figure, as a factor if the target is one, and whether it is
// what it should be.
func (t target) check(r results) (got float64, met bool) {
	got = r.median(t.of(), t.what)
	if t.others != "" {
		got /= r.median(t.others, t.what)
	}
	if t.sign == atLeast {
		return got, got >= t.bound
	}
	return got, got <= t.bound
}

// verdict is the target and what came of it.
func (t target) verdict(r results) string {
	got, met := t.check(r)
	word := "missed"
	if met {
		word = "met"
	}
	if t.others == "" {
		return fmt.Sprintf("%s: %s, %s", t, word, show(t.what, got))
	}
	return fmt.Sprintf("%s: %s, %.3g x", t, word, got)
}

// cell is the figures as they stand in the table.
func cell(f figures) string {
	var all []string
	for _, u := range units {
		if v, ok := f[u]; ok {
			all = append(all, show(u, v))
		}
	}
	return strings.Join(all, "; ")
}

// show is a figure with its unit.
func show(u unit, v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M %s", v/1e6, u)
	case v >= 1e4:
		return fmt.Sprintf("%.0f k %s", v/1e3, u)
	case v >= 100:
		return fmt.Sprintf("%.0f %s", v, u)
	}
	return fmt.Sprintf("%.3g %s", v, u)
}
