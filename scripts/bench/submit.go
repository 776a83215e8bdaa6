//go:build linux

package main

import (
	"fmt"

	"gm/scripts/load"
	"gm/scripts/peer"
)

func submitBenches(e *env) []*bench {
	all := []*bench{{
		name:       "submit",
		title:      "Background submit, 8 connections x 64 in flight, 1,000,000 jobs",
		contenders: e.each(e.submit(1_000_000, false), gm, gearmand, beanstalkd, redis),
		targets: []target{
			{rate, atLeast, 2.5, gearmand},
			{rate, atLeast, 1, redis},
		},
	}}
	for _, jobs := range []int{100_000, 300_000} {
		b := &bench{
			name:       fmt.Sprintf("submit-unique-%dk", jobs/1000),
			title:      fmt.Sprintf("The same, each with its own unique, %d,000 jobs", jobs/1000),
			contenders: e.each(e.submit(jobs, true), gm, gearmand),
		}
		if jobs == 300_000 {
			b.targets = []target{{rate, atLeast, 25, gearmand}}
		}
		all = append(all, b)
	}
	return all
}

// submit measures background jobs by 8 connections with 64 in flight.
func (e *env) submit(jobs int, unique bool) func(*peer.Server, load.Protocol) (figures, error) {
	return func(s *peer.Server, p load.Protocol) (figures, error) {
		l, err := load.Submit(p, s.Addr, load.Submission{
			Job:  load.Job{Size: payloadSize, Unique: unique},
			Jobs: e.n(jobs), Conns: 8, Window: 64,
		})
		return measure(s, e.limit(), l, err)
	}
}
