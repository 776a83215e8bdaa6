//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
)

// bench is a row of the table, or a curve of a plot.
type bench struct {
	name       string // the name that -only matches
	title      string
	contenders []contender
	targets    []target
	// once is set where a turn takes minutes and finds the same each time.
	once bool
	// plot is where it is shown if not in the table, with the server's line.
	plot   plot
	server string
}

// contender is one of those that a bench compares.
type contender struct {
	who string
	run func() (figures, error) // a turn, with servers of its own
}

// The contenders that have a column, gearmand's with the C library's programs.
const (
	gm       = "gm"
	gearmand = "gearmand"
	gearmanC = "gearman"
)

// Others whose names are used more than once.
const (
	beanstalkd = "beanstalkd"
	redis      = "Redis"
	socat      = "socat"
)

// errSkip is why a bench cannot be run on this machine; the others can.
var errSkip = errors.New("skip")

// measure gives each contender its turn, in each round, and writes the figures
// to progress.
func (b *bench) measure(rounds int, progress io.Writer) (results, error) {
	r := make(results)
	if b.once {
		rounds = 1
	}
	for range rounds {
		for _, c := range b.contenders {
			f, err := c.run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.who, err)
			}
			r.add(c.who, f)
			fmt.Fprintf(progress, "  %s: %s: %s\n", b.name, c.who, cell(f))
		}
	}
	return r, nil
}

// print writes the bench and its results for a terminal.
func (b *bench) print(w io.Writer, r results) {
	fmt.Fprintln(w, b.title)
	for _, c := range b.contenders {
		fmt.Fprintf(w, "  %-16s %s\n", c.who, cell(r.medians(c.who)))
	}
	for _, t := range b.targets {
		got, met := t.check(r)
		word := "missed"
		if met {
			word = "met"
		}
		fmt.Fprintf(w, "  %s: %s, %s\n", t, word, got)
	}
	fmt.Fprintln(w)
}
