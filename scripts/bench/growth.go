//go:build linux

package main

import (
	"strconv"

	"gm/scripts/load"
	"gm/scripts/peer"
)

// plot is a picture. The contenders of its benches are the places on its
// x-axis, and each unit of a bench is a curve.
type plot string

const (
	inTable     plot = "" // none
	connections plot = "connections"
	waiting     plot = "waiting"
)

// The curves show the server's cost of a job.
const (
	cpuSubmit     unit = "us CPU, submitted"
	cpuUnique     unit = "us CPU, submitted with a unique"
	cpuDrain      unit = "us CPU, drained"
	cpuForeground unit = "us CPU, foreground"
	bytesWaiting  unit = "B, waiting"
)

// growthBenches measure how the cost of a job grows with the other jobs and
// connections of the server.
func growthBenches(e *env) (all []*bench) {
	for _, who := range []string{gm, gearmand} {
		b := &bench{name: "growth-connections-" + who, title: "Cost of a job by connections at work: " + who, plot: connections, server: who}
		for n := 1; n <= 1000; n *= 10 {
			b.contenders = append(b.contenders, e.place(n, who, e.withConnections(n)))
		}
		all = append(all, b)
	}
	for _, who := range []string{gm, gearmand} {
		most := e.waiting
		if who == gearmand {
			most = min(most, 1_000_000) // ten times as many would not fit
		}
		b := &bench{name: "growth-waiting-" + who, title: "Cost of a job by jobs that wait: " + who, plot: waiting, server: who}
		for n := 1000; n <= most; n *= 10 {
			b.contenders = append(b.contenders, e.place(n, who, e.withWaiting(n)))
		}
		all = append(all, b)
	}
	return all
}

// place is a contender on the x-axis.
func (e *env) place(x int, who string, do func(*peer.Server, load.Protocol) (figures, error)) contender {
	return contender{strconv.Itoa(x), e.each(do, who)[0].run}
}

// withConnections measures jobs by n clients, and n workers.
func (e *env) withConnections(n int) func(*peer.Server, load.Protocol) (figures, error) {
	return func(s *peer.Server, p load.Protocol) (figures, error) {
		return e.costs(s, p, load.Pairs{Size: payloadSize, Clients: n, Window: 1, Workers: n})
	}
}

// withWaiting measures jobs while n others wait, which have the same function,
// except for foreground jobs.
func (e *env) withWaiting(n int) func(*peer.Server, load.Protocol) (figures, error) {
	return func(s *peer.Server, p load.Protocol) (figures, error) {
		size, err := grown(s, func() error { return fill(s, p, n, load.Job{Size: payloadSize}) })
		if err != nil {
			return nil, err
		}
		f, err := e.costs(s, p, load.Pairs{Size: payloadSize, Clients: 32, Window: 1, Workers: 32})
		if n >= 100_000 { // fewer than the server's own at its start
			f[bytesWaiting] = size / float64(n)
		}
		return f, err
	}
}

// costs measures the server's cost of each kind of job: foreground jobs,
// background jobs submitted by as many clients, and done by as many workers.
func (e *env) costs(s *peer.Server, p load.Protocol, pairs load.Pairs) (figures, error) {
	all := make(figures)
	run := func(u unit, l *load.Load, err error) error {
		f, err := measure(s, e.limit(), l, err)
		all[u] = f[cpu]
		return err
	}
	l, err := load.Foreground(s.Addr, pairs)
	f, err := measure(s, e.period(), l, err)
	if err != nil {
		return nil, err
	}
	all[cpuForeground] = f[cpu]
	jobs := e.n(50_000)
	submission := load.Submission{Job: load.Job{Size: payloadSize}, Jobs: jobs, Conns: pairs.Clients, Window: 64}
	l, err = load.Submit(p, s.Addr, submission)
	if err := run(cpuSubmit, l, err); err != nil {
		return nil, err
	}
	l, err = load.Drain(p, s.Addr, pairs.Workers, jobs, oneFunction)
	if err := run(cpuDrain, l, err); err != nil {
		return nil, err
	}
	submission.Unique = true
	l, err = load.Submit(p, s.Addr, submission)
	return all, run(cpuUnique, l, err)
}
