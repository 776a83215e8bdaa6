//go:build linux

package main

import (
	"fmt"
	"time"

	"gm/scripts/load"
	"gm/scripts/peer"
)

// fillLimit is how long it may take to leave the jobs of a bench with a server.
const fillLimit = 5 * time.Minute

// payloadSize is that of all jobs of which nothing else is said, in bytes.
const payloadSize = 100

func submitBenches(e *env) []*bench {
	all := []*bench{{
		name:  "submit",
		title: "Background submit, 8 connections x 64 in flight",
		contenders: []contender{
			{gm, func() (figures, error) { return e.submit(gm, 500_000, false) }},
			{gearmand, func() (figures, error) { return e.submit(gearmand, 500_000, false) }},
			{beanstalkd, func() (figures, error) { return e.submit(beanstalkd, 200_000, false) }},
			{redis, func() (figures, error) { return e.submit(redis, 500_000, false) }},
		},
		targets: []target{
			{what: rate, sign: atLeast, bound: 2.5, others: gearmand},
			{what: rate, sign: atLeast, bound: 1, others: redis},
		},
	}}
	for _, jobs := range []int{100_000, 300_000} {
		b := &bench{
			name:  fmt.Sprintf("submit-unique-%dk", jobs/1000),
			title: fmt.Sprintf("The same, each with its own unique, %d,000 jobs", jobs/1000),
		}
		for _, who := range []string{gm, gearmand} {
			b.contenders = append(b.contenders, contender{who, func() (figures, error) { return e.submit(who, jobs, true) }})
		}
		if jobs == 300_000 {
			b.targets = []target{{what: rate, sign: atLeast, bound: 25, others: gearmand}}
		}
		all = append(all, b)
	}
	return all
}

// submit measures jobs submitted to a server that was started for them.
func (e *env) submit(who string, jobs int, unique bool) (figures, error) {
	s, p, err := e.start(who)
	return served(s, err, e.limit(), func(addr string) (*load.Load, error) {
		return load.Submit(p, addr, load.Submission{
			Job:  load.Job{Size: payloadSize, Unique: unique},
			Jobs: e.n(jobs), Conns: 8, Window: 64,
		})
	})
}

// start starts a server with what it has as default.
func (e *env) start(who string) (*peer.Server, load.Protocol, error) {
	switch who {
	case gm:
		s, err := peer.GM(e.gm, e.dir)
		return s, load.Gearman, err
	case gearmand:
		s, err := peer.Gearmand(e.dir)
		return s, load.Gearman, err
	case beanstalkd:
		s, err := peer.Beanstalkd(e.dir)
		return s, load.Beanstalk, err
	case redis:
		s, err := peer.Redis(e.dir)
		return s, load.Redis, err
	}
	panic("no such server: " + who)
}
