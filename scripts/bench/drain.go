//go:build linux

package main

import (
	"gm/scripts/load"
	"gm/scripts/peer"
)

func drainBenches(e *env) []*bench {
	return []*bench{{
		name:       "drain",
		title:      "Drain of 300,000 jobs by 8 workers",
		contenders: e.each(e.drain(300_000, 8, 1, oneFunction), gm, gearmand, beanstalkd, redis),
		targets: []target{
			{rate, atLeast, 4, gearmand},
			{rate, atLeast, 2, beanstalkd},
			{cpu, atMost, 0.2, gearmand},
		},
	}}
}

// drain measures workers that do jobs which wait, of so many functions in turn.
// Worker i does those of has(i).
func (e *env) drain(jobs, workers, functions int, has func(i int) []string) func(*peer.Server, load.Protocol) (figures, error) {
	return func(s *peer.Server, p load.Protocol) (figures, error) {
		jobs := e.n(jobs)
		if err := fill(s, p, jobs, load.Job{Size: payloadSize, Functions: functions}); err != nil {
			return nil, err
		}
		l, err := load.Drain(p, s.Addr, workers, jobs, has)
		return measure(s, e.limit(), l, err)
	}
}

// oneFunction is the list of functions of workers that do all jobs of one
// function.
func oneFunction(int) []string { return []string{load.Function(0)} }
