//go:build linux

package main

import (
	"gm/scripts/load"
	"gm/scripts/peer"
)

// Loads of foreground jobs.
var (
	oneByOne  = load.Pairs{Size: payloadSize, Clients: 1, Window: 1, Workers: 1}
	by32      = load.Pairs{Size: payloadSize, Clients: 32, Window: 1, Workers: 32}
	pipelined = load.Pairs{Size: payloadSize, Clients: 8, Window: 32, Workers: 8}
	sleepers  = load.Pairs{Size: payloadSize, Clients: 1, Window: 1, Workers: 200}
)

func foregroundBenches(e *env) []*bench {
	row := func(name, title string, p load.Pairs, targets ...target) *bench {
		return &bench{
			name: "foreground-" + name, title: "Foreground, " + title, targets: targets,
			contenders: e.each(e.foreground(p), gm, gearmand),
		}
	}
	return []*bench{
		row("1x1", "1 client, 1 worker", oneByOne, target{cpu, atMost, 0.6, gearmand}, target{p50, atMost, 0.8, gearmand}),
		row("32x32", "32 clients, 32 workers, one each in flight", by32, target{rate, atLeast, 1.6, gearmand}),
		row("8x32", "8 clients x 32 in flight, 8 workers", pipelined, target{rate, atLeast, 1.9, gearmand}),
		row("sleepers", "1 client, 200 sleeping workers", sleepers, target{rate, atLeast, 20, gearmand}),
	}
}

func (e *env) foreground(pairs load.Pairs) func(*peer.Server, load.Protocol) (figures, error) {
	return func(s *peer.Server, _ load.Protocol) (figures, error) {
		l, err := load.Foreground(s.Addr, pairs)
		return measure(s, e.period(), l, err)
	}
}
