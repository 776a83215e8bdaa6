//go:build linux

package main

import "gm/scripts/load"

// many is a number of functions, of which a grab should know nothing.
const many = 20_000

// functionBenches compare workers that have many functions with those that have
// one.
func functionBenches(e *env) []*bench {
	const single = "gm, one function"
	target := []target{{cpu, atMost, 1.5, single}}
	row := func(name, title string, workers int, has func(i int) []string) *bench {
		b := &bench{name: name, title: title, targets: target}
		b.contenders = e.each(e.drain(50_000, workers, many, has), gm, gearmand)
		one := e.each(e.drain(50_000, workers, 1, oneFunction), gm)[0]
		b.contenders = append(b.contenders, contender{single, one.run})
		return b
	}
	return []*bench{
		row("functions-20000", "Drain by 1 worker with 20,000 functions", 1, func(int) []string { return functions(0, many) }),
		row("functions-800x100", "Drain by 800 workers with 100 functions each, of 20,000", 800, func(i int) []string { return functions(100*i, 100) }),
	}
}

// functions returns the names of n from the first.
func functions(first, n int) (names []string) {
	for i := range n {
		names = append(names, load.Function((first+i)%many))
	}
	return names
}
