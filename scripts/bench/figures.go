//go:build linux

package main

import (
	"fmt"
	"strings"

	"gm/scripts/load"
)

// unit is the unit of a figure.
type unit string

// The units, in the order in which a cell shows them.
const (
	p50     unit = "us p50"
	rate    unit = "jobs/s"
	records unit = "records/s"
	cpu     unit = "us CPU"
	each    unit = "B each"
	took    unit = "ms"
	speed   unit = "MB/s"
	space   unit = "MB"
	seconds unit = "s until a tenth of it"
	kept    unit = "MB then"
)

var units = []unit{
	p50, rate, records, cpu, each, took, speed, space, seconds, kept,
	cpuSubmit, cpuUnique, cpuDrain, cpuForeground, bytesWaiting,
}

// figures are the results of one turn.
type figures map[unit]float64

// results are the figures of a bench's contenders, a value a round.
type results map[string]map[unit][]float64

func (r results) add(who string, f figures) {
	if r[who] == nil {
		r[who] = make(map[unit][]float64)
	}
	for u, v := range f {
		r[who][u] = append(r[who][u], v)
	}
}

// median returns a contender's figure, 0 if it has none.
func (r results) median(who string, u unit) float64 { return load.Quantile(r[who][u], 0.5) }

// factor returns a contender's figure as a multiple of another's, 0 if one of them
// has none. It is the median of the rounds' factors: the contenders take turns
// within a round, so a machine that becomes faster between two rounds changes
// both figures of a round alike. Without a figure of each in every round it is
// the factor of the medians.
func (r results) factor(who, of string, u unit) float64 {
	a, b := r[who][u], r[of][u]
	switch {
	case len(a) == 0 || len(b) == 0:
		return 0
	case len(a) != len(b):
		return r.median(who, u) / r.median(of, u)
	}
	factors := make([]float64, len(a))
	for i := range a {
		factors[i] = a[i] / b[i]
	}
	return load.Quantile(factors, 0.5)
}

// medians returns all figures of a contender.
func (r results) medians(who string) figures {
	f := make(figures)
	for u := range r[who] {
		f[u] = r.median(who, u)
	}
	return f
}

// cell is figures as they stand in the table.
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
func show(u unit, v float64) string { return number(v) + " " + string(u) }

// number shows v with three digits, and all of those before the point.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
