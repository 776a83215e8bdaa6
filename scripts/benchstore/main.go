//go:build linux

// Command benchstore measures how many background jobs a second gm serve
// acknowledges durably, side by side with gearmand and SQLite, and with the
// engine of gm's disk store alone. make bench-store runs it.
//
// Every measure is taken once a round, all of them in each, so that they share
// the machine's good and bad minutes; the table shows the medians. All files
// are in directories of their own below -dir, which should be on a disk.
// Pending writes of one measurement end before the next begins.
//
// The latency of a foreground job under load is given as a multiple of the time
// in which the engine alone writes and syncs a batch: a job that waited for the
// disk would wait that long. Without a load it is a multiple of the disk's time
// for one page.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"gm/pkg/wire"
	"gm/scripts/load"
	"gm/scripts/peer"
)

var (
	gmPath  = flag.String("gm", "bin/gm", "the gm to measure")
	parent  = flag.String("dir", ".", "directory on the disk to measure")
	rounds  = flag.Int("rounds", 5, "how often each measure is taken")
	seconds = flag.Float64("seconds", 2, "how long each takes")
	without = flag.Bool("without-gearmand", false, "leave gearmand out")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "benchstore:", err)
		os.Exit(1)
	}
}

const (
	payloadSize     = 100
	foregroundEvery = 4 * time.Millisecond
)

// inFlight is a number of connections, with a number of jobs in flight on each.
type inFlight struct{ conns, window int }

func (l inFlight) String() string { return fmt.Sprintf("%d x %d", l.conns, l.window) }

// The first is no load, for the time of foreground jobs alone.
var loads = []inFlight{{}, {1, 1}, {8, 64}, {8, 256}}

// measured has the results of one load, a value for each round.
type measured struct {
	gm, gearmand, engine []float64 // jobs a second
	batch                []float64 // jobs that gm's store took at a time
	p99                  []time.Duration
	sync                 []time.Duration // of a page
	commit               []time.Duration // of such a batch, by the engine alone
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
func (m *measured) add(l inFlight) error {
	unix.Sync()
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
	unix.Sync()
	rate, err := engineAlone(*parent, int(m.batch[len(m.batch)-1]+0.5), duration())
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	m.engine = append(m.engine, rate)
	m.commit = append(m.commit, time.Duration(m.batch[len(m.batch)-1]/rate*float64(time.Second)))
	if *without {
		return nil
	}
	unix.Sync()
	s, err := peer.Gearmand(*parent, "--queue-type=libsqlite3", "--libsqlite3-db=DIR/queue.db")
	if err != nil {
		return err
	}
	defer s.Stop()
	if rate, err = submit(s, l); err != nil {
		return fmt.Errorf("gearmand: %w", err)
	}
	m.gearmand = append(m.gearmand, rate)
	return nil
}

// measureGM measures gm while foreground jobs run: one at a time, each
// submitted foregroundEvery.
func (m *measured) measureGM(l inFlight) error {
	s, err := peer.GM(*gmPath, *parent, "--data", "DIR/data", "--log-level", "warn")
	if err != nil {
		return err
	}
	defer s.Stop()
	foreground, err := load.Foreground(s.Addr, load.Pairs{Size: 1, Clients: 1, Window: 1, Workers: 1, Every: foregroundEvery})
	if err != nil {
		return err
	}
	defer foreground.Close()
	type done struct {
		jobs load.Result
		err  error
	}
	ended := make(chan done, 1)
	go func() {
		jobs, err := foreground.Run(duration())
		ended <- done{jobs, err}
	}()
	rate, err := submit(s, l)
	beside := <-ended
	if err := errors.Join(err, beside.err); err != nil {
		return err
	}
	line, err := s.Ask(wire.CmdStats + "\n")
	if err != nil {
		return err
	}
	var stats wire.ServerStats
	if err := json.Unmarshal(line, &stats); err != nil {
		return err
	}
	m.gm = append(m.gm, rate)
	m.batch = append(m.batch, float64(stats.BatchedOps)/float64(max(stats.Batches, 1)))
	m.p99 = append(m.p99, load.Quantile(beside.jobs.Latencies, 0.99))
	return nil
}

// submit returns the jobs a second that a server acknowledges.
func submit(s *peer.Server, l inFlight) (float64, error) {
	if l.conns == 0 {
		return 0, nil
	}
	jobs, err := load.Submit(load.Gearman, s.Addr, load.Submission{
		Job:  load.Job{Size: payloadSize, Unique: true},
		Jobs: math.MaxInt, Conns: l.conns, Window: l.window,
	})
	if err != nil {
		return 0, err
	}
	defer jobs.Close()
	r, err := jobs.Run(duration())
	return r.Rate(), err
}

// report prints the medians of the measurements, and of the ratios within each
// round.
func report(results []measured) error {
	fmt.Printf("Medians of %d rounds of %v; gm serve --data syncs each batch before it answers.\n\n", *rounds, duration())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tgm\tjobs a\tengine\tgm of\tgearmand\tgm\tforeground\tone\tp99\tone\tp99 in\t")
	fmt.Fprintln(w, "in flight\tjobs/s\tbatch\tjobs/s\tengine\tjobs/s\ttimes\tp99\tpage\tin pages\tbatch\tbatches\t")
	for i, l := range loads {
		m := &results[i]
		if l.conns > 0 {
			fmt.Fprintf(w, "%v\t%.0f\t%.0f\t%.0f\t%.0f %%\t%.0f\t%.0f", l,
				load.Quantile(m.gm, 0.5), load.Quantile(m.batch, 0.5), load.Quantile(m.engine, 0.5), 100*ratio(m.gm, m.engine),
				load.Quantile(m.gearmand, 0.5), ratio(m.gm, m.gearmand))
		} else {
			fmt.Fprintf(w, "none%s", strings.Repeat("\t", 6))
		}
		fmt.Fprintf(w, "\t%v\t%v\t%.1f", median(m.p99), median(m.sync), ratio(m.p99, m.sync))
		if l.conns > 0 {
			fmt.Fprintf(w, "\t%v\t%.1f\t\n", median(m.commit), ratio(m.p99, m.commit))
		} else {
			fmt.Fprint(w, "\t\t\t\n")
		}
	}
	return w.Flush()
}

func median(all []time.Duration) time.Duration {
	return load.Quantile(all, 0.5).Round(time.Microsecond)
}

// ratio returns the median of a to b.
func ratio[T float64 | time.Duration](a, b []T) float64 {
	var all []float64
	for i := range b {
		all = append(all, float64(a[i])/float64(b[i]))
	}
	return load.Quantile(all, 0.5)
}
