//go:build linux

// Command bench measures gm beside Debian's gearmand, beanstalkd and Redis. make
// bench runs it.
//
// It is a list of benches. A bench is one load and those that are put under it,
// the contenders; they take turns, round by round, so that all share the
// machine's good and bad minutes, and the table shows the medians. Each turn is
// a server of its own, which ends after it. The load comes from this process
// (package load), which shares the machine with the server: what a job costs the
// server in processor time is the steadiest figure.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
)

func main() {
	only := flag.String("only", "", "run only benches whose name matches `REGEXP`")
	rounds := flag.Int("rounds", 5, "`N` turns of each contender")
	list := flag.Bool("list", false, "print the benches' names")
	e := &env{}
	flag.BoolVar(&e.quick, "quick", false, "a tenth of the load and one round: does it work?")
	flag.StringVar(&e.gm, "gm", "bin/gm", "`FILE` of the gm to measure")
	flag.StringVar(&e.dir, "dir", "", "`DIR` for the servers' files, on the disk to measure; the system's for such things if empty")
	flag.Parse()
	if e.quick {
		*rounds = 1
	}
	if err := run(e, *only, *rounds, *list); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(e *env, only string, rounds int, list bool) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	for _, b := range benches(e) {
		if !match.MatchString(b.name) {
			continue
		}
		if list {
			fmt.Println(b.name)
			continue
		}
		r, err := b.measure(rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		fmt.Println(b.text(r))
	}
	return nil
}

// benches returns all of them, in the order of the table.
func benches(e *env) []*bench {
	var all []*bench
	all = append(all, submitBenches(e)...)
	all = append(all, drainBenches(e)...)
	all = append(all, foregroundBenches(e)...)
	return all
}
