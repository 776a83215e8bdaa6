//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"gm/scripts/peer"
)

// The contenders of batches, besides gm.
const (
	parallel  = "parallel -k -j2"
	lineWise  = "gearman -N"
	unordered = "gm --unordered"
	pipeline  = "tr | sort | uniq -c"
	xargs     = "xargs -P2"
)

// batchBenches compare gm on many records with programs that process them on
// one machine. Each turn's output is checked.
func batchBenches(e *env) []*bench {
	count := &wordcount{e: e}
	return []*bench{
		{
			name:  "map",
			title: "Squares of numbers, in order, by an awk that two slots keep; others start one for each",
			contenders: []contender{
				{gm, e.mapSquares},
				{parallel, e.parallelSquares},
				{lineWise, e.gearmanSquares},
			},
			targets: []target{{records, atLeast, 50, parallel}, {records, atLeast, 20, lineWise}},
		},
		{
			name:       "wordcount",
			title:      "Word count of 60 MB by map and tree reduce",
			contenders: []contender{{gm, count.cluster}, {pipeline, count.alone}},
			targets:    []target{{took, atMost, 1, pipeline}},
		},
		{
			name:       "gigabyte",
			title:      "1 GB through --block 1M and back; memory of the client",
			contenders: []contender{{gm, e.gigabyte}},
			targets:    []target{{space, atMost, 200, ""}},
		},
		{
			name:  "slow",
			title: "In order, one record in 100 takes 50 ms; memory of the client",
			contenders: []contender{
				{gm, func() (figures, error) { return e.slowRecords() }},
				{unordered, func() (figures, error) { return e.slowRecords("--unordered") }},
			},
			targets: []target{{records, atLeast, 0.8, unordered}, {space, atMost, 200, ""}},
		},
		{
			name:       "convert",
			title:      "200 images halved by convert, --files --out, two at a time",
			contenders: []contender{{gm, e.mapImages}, {xargs, e.xargsImages}},
			targets:    []target{{took, atMost, 1.1, xargs}},
		},
	}
}

// numbers returns 1 to n, a line each, and their squares as awk has them.
func numbers(n int) (in, squares []byte, err error) {
	for i := range n {
		in = append(strconv.AppendInt(in, int64(i+1), 10), '\n')
	}
	awk := exec.Command("awk", `{ print $1 * $1 }`)
	awk.Stdin = bytes.NewReader(in)
	squares, err = awk.Output()
	return in, squares, err
}

// squared runs the command that squares n numbers, and checks the squares.
func squared(n int, run *exec.Cmd) (figures, error) {
	in, want, err := numbers(n)
	if err != nil {
		return nil, err
	}
	done, err := runBatch(run, bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(done.out, want) {
		return nil, fmt.Errorf("%s: the output is not awk's: %d bytes, not %d", run.Path, len(done.out), len(want))
	}
	return figures{records: float64(n) / done.took.Seconds()}, nil
}

func (e *env) mapSquares() (f figures, err error) {
	keep := []string{"--keep", "--", "awk", `{ print $1 * $1; fflush() }`}
	if mawk() {
		keep = []string{"--keep", "--", "awk", "-W", "interactive", `{ print $1 * $1; fflush() }`}
	}
	err = e.cluster(keep, func(s *peer.Server) error {
		f, err = squared(e.n(100_000), exec.Command(e.gm, "map", "-s", s.Addr, "-N", "-f", batchFunction))
		return err
	})
	return f, err
}

// mawk reports whether awk is mawk, which reads ahead by default.
func mawk() bool {
	out, _ := exec.Command("awk", "-W", "version").CombinedOutput()
	return bytes.Contains(out, []byte("mawk"))
}

func (e *env) parallelSquares() (figures, error) {
	if _, err := exec.LookPath("parallel"); err != nil {
		return nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	return squared(e.n(2000), exec.Command("parallel", "-k", "-j2", "awk 'BEGIN { print {} * {} }'"))
}

// gearmanSquares has the C tool send line after line to its own worker, over
// the server of the same makers.
func (e *env) gearmanSquares() (figures, error) {
	s, _, err := e.start(gearmand)
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	end, err := startWorker(s, 1, gearmanC, "-w", "-h", "HOST", "-p", "PORT", "-f", batchFunction, "awk", "{ print $1 * $1 }")
	if err != nil {
		return nil, err
	}
	defer end()
	return squared(e.n(2000), exec.Command(gearmanC, placed(s, []string{"-h", "HOST", "-p", "PORT", "-N", "-f", batchFunction})...))
}

// slowRecords has a record in a hundred take long, by eight slots.
func (e *env) slowRecords(flags ...string) (f figures, err error) {
	const script = `while read -r n; do case $n in *00) sleep 0.05;; esac; echo "$n"; done`
	n := e.n(20_000)
	in, _, err := numbers(n)
	if err != nil {
		return nil, err
	}
	err = e.cluster([]string{"-j8", "--keep", "--", "sh", "-c", script}, func(s *peer.Server) error {
		done, err := runBatch(exec.Command(e.gm, append([]string{"map", "-s", s.Addr, "-N", "-f", batchFunction}, flags...)...), bytes.NewReader(in))
		if err != nil {
			return err
		}
		if len(flags) == 0 && !bytes.Equal(done.out, in) || len(done.out) != len(in) {
			return fmt.Errorf("the output has %d bytes and is not the input's %d in order", len(done.out), len(in))
		}
		f = figures{records: float64(n) / done.took.Seconds(), space: done.rss}
		return nil
	})
	return f, err
}

// wordcount runs scripts/bench-batch/wordcount.sh, which measures both sides.
type wordcount struct {
	e    *env
	last float64 // time of the pipeline in ms
}

// The script's lines begin with the name of a step, followed by its seconds.
var (
	tookAlone   = regexp.MustCompile(`(?m)^ +tr .*?([0-9.]+) s\b`)
	tookCluster = regexp.MustCompile(`(?m)^ +gm .*?([0-9.]+) s\b`)
)

func (w *wordcount) cluster() (figures, error) {
	cmd := exec.Command("bash", "scripts/bench-batch/wordcount.sh", w.e.gm)
	cmd.Env = append(os.Environ(), "ROUNDS=1", fmt.Sprintf("MB=%d", w.e.n(60)))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output() // fails also when gm is the slower
	alone, cluster := millis(tookAlone, out), millis(tookCluster, out)
	if alone == 0 || cluster == 0 {
		return nil, fmt.Errorf("word count: %w: %s", errors.Join(err, errOutput), out)
	}
	w.last = alone
	return figures{took: cluster}, nil
}

var errOutput = errors.New("no figures")

// millis returns the figure in seconds that a line has, in milliseconds.
func millis(line *regexp.Regexp, text []byte) float64 {
	found := line.FindSubmatch(text)
	if found == nil {
		return 0
	}
	v, _ := strconv.ParseFloat(string(found[1]), 64)
	return math.Round(1000 * v)
}

// alone is the measurement of the last cluster's turn.
func (w *wordcount) alone() (figures, error) { return figures{took: w.last}, nil }
