//go:build linux

package main

import (
	"fmt"
	"time"

	"gm/scripts/load"
	"gm/scripts/peer"
)

func memoryBenches(e *env) []*bench {
	return []*bench{
		{
			name:       "memory",
			title:      "Memory a waiting job, 1,000,000 of 100 B",
			contenders: e.each(e.memory(1_000_000, payloadSize), gm, gearmand, beanstalkd, redis),
			targets:    []target{{each, atMost, 0.35, gearmand}},
		},
		{
			name:       "memory-10m",
			title:      "10,000,000 waiting jobs of 20 B, and back after a drain (once)",
			contenders: e.each(e.comesBack(10_000_000, 20), gm),
			targets:    []target{{space, atMost, 2500, ""}, {seconds, atMost, 60, ""}},
			once:       true,
		},
	}
}

// memory measures the memory of waiting jobs.
func (e *env) memory(jobs, size int) func(*peer.Server, load.Protocol) (figures, error) {
	return func(s *peer.Server, p load.Protocol) (figures, error) {
		jobs := e.n(jobs)
		n, err := grown(s, func() error { return fill(s, p, jobs, load.Job{Size: size}) })
		return figures{each: n / float64(jobs)}, err
	}
}

// grown returns by how many bytes a server's memory has grown.
func grown(s *peer.Server, by func() error) (float64, error) {
	before, err := s.RSS()
	if err != nil {
		return 0, err
	}
	if err := by(); err != nil {
		return 0, err
	}
	after, err := s.RSS()
	return float64(after - before), err
}

// comesBack measures the memory of a server with waiting jobs, and how long
// after they are done only a tenth of it is left.
func (e *env) comesBack(jobs, size int) func(*peer.Server, load.Protocol) (figures, error) {
	return func(s *peer.Server, p load.Protocol) (figures, error) {
		jobs := e.n(jobs)
		if err := fill(s, p, jobs, load.Job{Size: size}); err != nil {
			return nil, err
		}
		full, err := s.RSS()
		if err != nil {
			return nil, err
		}
		if err := empty(s, p, jobs); err != nil {
			return nil, err
		}
		wait, rest, err := shrinks(s, full/10)
		return figures{space: float64(full) / 1e6, seconds: wait.Seconds(), kept: float64(rest) / 1e6}, err
	}
}

// empty does the jobs that wait.
func empty(s *peer.Server, p load.Protocol, jobs int) error {
	l, err := load.Drain(p, s.Addr, 32, jobs, oneFunction)
	if err != nil {
		return err
	}
	defer l.Close()
	r, err := l.Run(fillLimit)
	if err == nil && r.Jobs < jobs {
		err = fmt.Errorf("only %d of %d jobs were done in %v", r.Jobs, jobs, fillLimit)
	}
	return err
}

// shrinks waits until a server's memory is below some bytes, for a minute and a
// half at most. It returns the time of that and the server's memory at the end.
func shrinks(s *peer.Server, below int64) (took time.Duration, rest int64, err error) {
	const atMost = 90 * time.Second
	began := time.Now()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		rest, err = s.RSS()
		if err != nil || rest < below || time.Since(began) > atMost {
			break
		}
	}
	return time.Since(began), rest, err
}
