//go:build linux

package main

import (
	"fmt"

	"gm/scripts/load"
	"gm/scripts/peer"
)

func drainBenches(e *env) []*bench {
	b := &bench{
		name:  "drain",
		title: "Drain by 8 workers",
		targets: []target{
			{what: rate, sign: atLeast, bound: 4, others: gearmand},
			{what: rate, sign: atLeast, bound: 2, others: beanstalkd},
			{what: cpu, sign: atMost, bound: 0.2, others: gearmand},
		},
	}
	for _, who := range []string{gm, gearmand, beanstalkd, redis} {
		b.contenders = append(b.contenders, contender{who, func() (figures, error) {
			s, p, err := e.start(who)
			if err != nil {
				return nil, err
			}
			defer s.Kill()
			jobs := e.n(100_000)
			if err := fill(s, p, jobs, load.Job{Size: payloadSize}); err != nil {
				return nil, err
			}
			return loaded(s, e.limit(), func(addr string) (*load.Load, error) {
				return load.Drain(p, addr, 8, jobs, oneFunction)
			})
		}})
	}
	return []*bench{b}
}

// oneFunction is what workers do that have only one.
func oneFunction(int) []string { return []string{load.Function(0)} }

// fill leaves jobs with a server.
func fill(s *peer.Server, p load.Protocol, jobs int, j load.Job) error {
	l, err := load.Submit(p, s.Addr, load.Submission{Job: j, Jobs: jobs, Conns: 8, Window: 64})
	if err != nil {
		return err
	}
	defer l.Close()
	r, err := l.Run(fillLimit)
	if err == nil && r.Jobs < jobs {
		err = fmt.Errorf("only %d of %d jobs were taken in %v", r.Jobs, jobs, fillLimit)
	}
	return err
}
