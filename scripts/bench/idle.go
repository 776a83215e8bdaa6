//go:build linux

package main

import (
	"fmt"
	"syscall"

	"gm/scripts/load"
	"gm/scripts/peer"
)

// idlers is the number of sleeping workers, which have a function without jobs.
const idlers = 10_000

// idleBenches measure the cost of sleeping workers: their memory, and their
// effect on others.
func idleBenches(e *env) []*bench {
	all := []*bench{{
		name:       "idle",
		title:      "Memory an idle worker, 10,000 of them",
		contenders: e.each(e.idle, gm, gearmand),
		targets:    []target{{each, atMost, 6 << 10, ""}},
	}}
	const without = "gm without them"
	beside := func(name, title string, do func(*peer.Server, load.Protocol) (figures, error), figure unit) *bench {
		b := &bench{name: "idle-" + name, title: title + ", beside 10,000 idle workers"}
		b.contenders = e.each(func(s *peer.Server, p load.Protocol) (f figures, err error) {
			err = e.withIdlers(s, func() error {
				f, err = do(s, p)
				return err
			})
			return f, err
		}, gm)
		alone := e.each(do, gm)[0]
		b.contenders = append(b.contenders, contender{without, alone.run})
		b.targets = []target{{cpu, atMost, 1.1, without}, {figure, atLeast, 0.9, without}}
		if figure == p50 {
			b.targets[1] = target{p50, atMost, 1.1, without}
		}
		return b
	}
	return append(all,
		beside("submit", "Background submit", e.submit(1_000_000, false), rate),
		beside("drain", "Drain of 100,000 jobs by 8 workers", e.drain(100_000, 8, 1, oneFunction), rate),
		beside("1x1", "Foreground 1 x 1", e.foreground(oneByOne), p50),
		beside("32x32", "Foreground 32 x 32", e.foreground(by32), rate),
		beside("8x32", "Foreground 8 x 32", e.foreground(pipelined), rate))
}

// idle measures the memory that an idle worker occupies.
func (e *env) idle(s *peer.Server, _ load.Protocol) (figures, error) {
	var n float64
	before, err := s.RSS()
	if err != nil {
		return nil, err
	}
	err = e.withIdlers(s, func() error {
		after, err := s.RSS()
		n = float64(after-before) / float64(e.n(idlers))
		return err
	})
	return figures{each: n}, err
}

// withIdlers calls do while idle workers are connected.
func (e *env) withIdlers(s *peer.Server, do func() error) error {
	workers := e.n(idlers)
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	if need := uint64(workers) + 500; files.Cur < need {
		return fmt.Errorf("%w: %d open files are needed, ulimit -Hn is %d", errSkip, need, files.Max)
	}
	l, err := load.Idle(s.Addr, workers)
	if err != nil {
		return err
	}
	defer l.Close()
	return do()
}
