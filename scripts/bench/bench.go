//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"gm/scripts/load"
	"gm/scripts/peer"
)

// env is what all benches share.
type env struct {
	gm    string // the binary
	dir   string // for the servers' files
	quick bool
}

// n returns a number of jobs, less if it is to be quick.
func (e *env) n(jobs int) int {
	if e.quick {
		return jobs / 10
	}
	return jobs
}

// limit is how long a load may run; one that has not ended then is measured by
// what it did.
func (e *env) limit() time.Duration {
	if e.quick {
		return 300 * time.Millisecond
	}
	return 30 * time.Second
}

// period is how long a load without an end runs.
func (e *env) period() time.Duration {
	if e.quick {
		return 300 * time.Millisecond
	}
	return 2 * time.Second
}

// bench is a row of the table.
type bench struct {
	name       string // what -only matches
	title      string
	contenders []contender
	targets    []target
}

// contender is one of those that a bench compares.
type contender struct {
	who string
	run func() (figures, error) // a turn
}

// The contenders that have a column.
const (
	gm         = "gm"
	gearmand   = "gearmand"
	beanstalkd = "beanstalkd"
	redis      = "Redis"
)

// figures are what one turn found, by unit.
type figures map[unit]float64

// unit is what a figure counts.
type unit string

const (
	rate unit = "jobs/s"
	cpu  unit = "us of CPU"
	p50  unit = "us p50"
)

// units is the order in which a cell shows its figures.
var units = []unit{p50, rate, cpu}

// results are the figures of a bench's contenders, a value a round.
type results map[string]map[unit][]float64

// measure gives each contender its turn, in each round.
func (b *bench) measure(rounds int) (results, error) {
	r := make(results)
	for range rounds {
		for _, c := range b.contenders {
			f, err := c.run()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.who, err)
			}
			if r[c.who] == nil {
				r[c.who] = make(map[unit][]float64)
			}
			for u, v := range f {
				r[c.who][u] = append(r[c.who][u], v)
			}
			fmt.Fprintf(os.Stderr, "  %s: %s: %s\n", b.name, c.who, cell(f))
		}
	}
	return r, nil
}

// median returns a contender's figure, 0 if it has none.
func (r results) median(who string, u unit) float64 {
	return load.Quantile(r[who][u], 0.5)
}

// medians returns all figures of a contender.
func (r results) medians(who string) figures {
	f := make(figures)
	for u := range r[who] {
		f[u] = r.median(who, u)
	}
	return f
}

// text is the bench and its results for a terminal.
func (b *bench) text(r results) string {
	var out strings.Builder
	fmt.Fprintln(&out, b.title)
	for _, c := range b.contenders {
		fmt.Fprintf(&out, "  %-12s %s\n", c.who, cell(r.medians(c.who)))
	}
	for _, t := range b.targets {
		fmt.Fprintf(&out, "  %s\n", t.verdict(r))
	}
	return out.String()
}

// served measures a load on a server, which it stops.
func served(s *peer.Server, err error, limit time.Duration, prepare func(addr string) (*load.Load, error)) (figures, error) {
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	return loaded(s, limit, prepare)
}

// loaded measures a load on a server that goes on.
func loaded(s *peer.Server, limit time.Duration, prepare func(addr string) (*load.Load, error)) (figures, error) {
	l, err := prepare(s.Addr)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	before, err := s.CPU()
	if err != nil {
		return nil, err
	}
	r, err := l.Run(limit)
	if err != nil {
		return nil, err
	}
	after, err := s.CPU()
	if err != nil {
		return nil, err
	}
	if r.Jobs == 0 {
		return nil, fmt.Errorf("no job in %v", limit)
	}
	f := figures{rate: r.Rate(), cpu: float64((after - before).Nanoseconds()) / 1e3 / float64(r.Jobs)}
	if len(r.Latencies) > 0 {
		f[p50] = float64(load.Quantile(r.Latencies, 0.5).Nanoseconds()) / 1e3
	}
	return f, nil
}
