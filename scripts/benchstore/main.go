// Command benchstore measures how many background jobs a second gm serve
// acknowledges durably, side by side with gearmand and SQLite, and with the
// engine of gm's disk store alone. make bench-store runs it.
//
// Every measure is taken once a round, all of them in each, so that they share
// the machine's good and bad minutes; the table shows the medians. All files
// are in directories of their own below -dir, which should be on a disk.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

var (
	gmPath  = flag.String("gm", "bin/gm", "the gm to measure")
	parent  = flag.String("dir", ".", "directory on the disk to measure")
	rounds  = flag.Int("rounds", 5, "how often each measure is taken")
	seconds = flag.Float64("seconds", 2, "how long each takes")
	without = flag.Bool("without-gearmand", false, "leave gearmand out")

	foreground = flag.String("foreground", "", "only submit and do foreground jobs at this address, and print what they take")
)

func main() {
	flag.Parse()
	err := error(nil)
	if *foreground != "" {
		err = foregroundMain(*foreground, duration())
	} else {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchstore:", err)
		os.Exit(1)
	}
}

// load is a number of connections, with a number of jobs in flight on each.
type load struct{ conns, window int }

func (l load) String() string { return fmt.Sprintf("%d x %d", l.conns, l.window) }

// The first is none at all: what foreground jobs take by themselves.
var loads = []load{{}, {1, 1}, {8, 64}, {8, 256}}

// measured is what was found of one load, a value a round.
type measured struct {
	gm, gearmand, engine []float64 // jobs a second
	batch                []float64 // jobs that gm's store took at a time
	p99, sync            []time.Duration
}

func run() error {
	results := make([]measured, len(loads))
	for round := range *rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, *rounds)
		for i, l := range loads {
			if err := results[i].add(l); err != nil {
				return fmt.Errorf("%v: %w", l, err)
			}
		}
	}
	return report(results)
}

func duration() time.Duration { return time.Duration(*seconds * float64(time.Second)) }

// add takes each measure of a load once.
func (m *measured) add(l load) error {
	sync, err := syncTime(*parent)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	m.sync = append(m.sync, sync)
	if err := m.measureGM(l); err != nil {
		return fmt.Errorf("gm: %w", err)
	}
	if l.conns == 0 {
		return nil
	}
	rate, err := engineAlone(*parent, int(m.batch[len(m.batch)-1]+0.5), duration())
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	m.engine = append(m.engine, rate)
	if *without {
		return nil
	}
	s, err := startGearmand(*parent)
	if err != nil {
		return err
	}
	defer s.stop()
	n, err := submitLoad(s.addr, l.conns, l.window, duration())
	if err != nil {
		return fmt.Errorf("gearmand: %w", err)
	}
	m.gearmand = append(m.gearmand, float64(n)/duration().Seconds())
	return nil
}

func (m *measured) measureGM(l load) error {
	s, err := startGM(*gmPath, *parent)
	if err != nil {
		return err
	}
	defer s.stop()
	type latency struct {
		took []time.Duration
		err  error
	}
	done := make(chan latency, 1)
	go func() {
		took, err := foregroundLoad(s.addr, duration())
		done <- latency{took, err}
	}()
	n, err := submitLoad(s.addr, l.conns, l.window, duration())
	jobs := <-done
	if err := errors.Join(err, jobs.err); err != nil {
		return err
	}
	stats, err := s.stats()
	if err != nil {
		return err
	}
	m.gm = append(m.gm, float64(n)/duration().Seconds())
	m.batch = append(m.batch, float64(stats.BatchedOps)/float64(max(stats.Batches, 1)))
	m.p99 = append(m.p99, quantile(jobs.took, 0.99))
	return nil
}

// report prints the medians: of what was measured, and of the ratios within
// each round.
func report(results []measured) error {
	fmt.Printf("Medians of %d rounds of %v; gm serve --data syncs each batch before it answers.\n\n", *rounds, duration())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tgm\tjobs a\tengine\tgm of\tgearmand\tgm\tforeground\tone\tp99 in\t")
	fmt.Fprintln(w, "in flight\tjobs/s\tbatch\tjobs/s\tengine\tjobs/s\ttimes\tp99\tsync\tsyncs\t")
	for i, l := range loads {
		m := &results[i]
		p99, sync, syncs := quantile(m.p99, 0.5).Round(time.Microsecond), quantile(m.sync, 0.5).Round(time.Microsecond), ratio(m.p99, m.sync)
		if l.conns == 0 {
			fmt.Fprintf(w, "none\t\t\t\t\t\t\t%v\t%v\t%.1f\t\n", p99, sync, syncs)
			continue
		}
		fmt.Fprintf(w, "%v\t%.0f\t%.0f\t%.0f\t%.0f %%\t%.0f\t%.0f\t%v\t%v\t%.1f\t\n", l,
			quantile(m.gm, 0.5), quantile(m.batch, 0.5), quantile(m.engine, 0.5), 100*ratio(m.gm, m.engine),
			quantile(m.gearmand, 0.5), ratio(m.gm, m.gearmand), p99, sync, syncs)
	}
	return w.Flush()
}

// ratio returns the median of a to b.
func ratio[T float64 | time.Duration](a, b []T) float64 {
	var all []float64
	for i := range b {
		all = append(all, float64(a[i])/float64(b[i]))
	}
	return quantile(all, 0.5)
}
