//go:build linux

// Command bench compares gm with Debian's gearmand, beanstalkd and Redis. make
// bench runs it.
//
// With -batch it compares gm with GNU parallel, xargs and the C library's
// programs instead; make bench-batch runs that.
//
// It is a list of benches. A bench is one load and those that are put under it,
// the contenders; they take turns, round by round, so that all share the
// machine's good and bad minutes. The table shows the medians, also of the
// rounds' factors. Each turn is a server of its own, which ends after it. The
// load comes from this process (package load), which shares the machine with the
// server: the server's processor time for a job is the steadiest figure.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
)

func main() {
	e := &env{}
	o := options{}
	flag.StringVar(&o.only, "only", "", "run only benches whose name matches `REGEXP`")
	flag.IntVar(&o.rounds, "rounds", 5, "`N` turns of each contender")
	flag.BoolVar(&o.list, "list", false, "print the benches' names")
	flag.StringVar(&o.record, "record", "", "write what was measured to `FILE`")
	flag.StringVar(&o.readme, "readme", "", "run nothing, write the results in -record into `FILE` and scripts/bench/RESULTS.md next to it")
	flag.BoolVar(&o.batch, "batch", false, "measure batches of records instead of servers")
	flag.BoolVar(&e.quick, "quick", false, "a tenth of the load and one round: does it work?")
	flag.StringVar(&e.gm, "gm", "bin/gm", "`FILE` of the gm to measure")
	flag.StringVar(&e.dir, "dir", "", "`DIR` for the servers' files, on the disk to measure; the system's for such things if empty")
	flag.IntVar(&e.waiting, "waiting", 10_000_000, "curves go up to `N` waiting jobs")
	flag.Parse()
	if err := run(e, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags of the command.
type options struct {
	only   string
	rounds int
	list   bool
	batch  bool
	record string
	readme string
}

func run(e *env, o options) error {
	match, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	all, place := benches(e), serversSection
	if o.batch {
		all, place = batchBenches(e), batchesSection
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(b *bench) bool { return !match.MatchString(b.name) })
	switch {
	case o.list:
		for _, b := range chosen {
			fmt.Println(b.name)
		}
		return nil
	case o.readme != "":
		r, err := readRecord(o.record)
		if err != nil {
			return err
		}
		return place.write(o.readme, r, all)
	}
	if e.quick {
		o.rounds = 1
	}
	leave, err := e.enterDir()
	if err != nil {
		return err
	}
	defer leave()
	r := &record{Machine: thisMachine(e), Rounds: o.rounds, Benches: make(map[string]results)}
	for _, b := range chosen {
		got, err := b.measure(o.rounds, os.Stderr)
		if errors.Is(err, errSkip) {
			fmt.Fprintf(os.Stderr, "%s: %v\n", b.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		b.print(os.Stdout, got)
		r.Benches[b.name] = got
	}
	if o.record == "" {
		return nil
	}
	r.Machine.LoadEnd = loadAverage()
	r.Whole = !e.quick && len(r.Benches) == len(all)
	return r.write(o.record)
}

// benches returns all of them, in the order in which they run and of the table.
// The benches that start programs run first, right after the build: the system
// may drop a rarely used file from its cache, and reads it back in small
// pieces, which each start maps one by one.
func benches(e *env) []*bench {
	return slices.Concat(processBenches(e), submitBenches(e), drainBenches(e), foregroundBenches(e), memoryBenches(e),
		idleBenches(e), functionBenches(e), durableBenches(e), payloadBenches(e), growthBenches(e))
}
