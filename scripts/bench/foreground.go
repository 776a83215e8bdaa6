//go:build linux

package main

import (
	"fmt"

	"gm/scripts/load"
)

func foregroundBenches(e *env) []*bench {
	loads := []struct {
		name    string
		title   string
		pairs   load.Pairs
		targets []target
	}{
		{
			"1x1", "Foreground, 1 client, 1 worker",
			load.Pairs{Clients: 1, Window: 1, Workers: 1},
			[]target{
				{what: cpu, sign: atMost, bound: 0.6, others: gearmand},
				{what: p50, sign: atMost, bound: 0.8, others: gearmand},
			},
		},
		{
			"32x32", "Foreground, 32 clients, 32 workers, one each in flight",
			load.Pairs{Clients: 32, Window: 1, Workers: 32},
			[]target{{what: rate, sign: atLeast, bound: 1.6, others: gearmand}},
		},
		{
			"8x32", "Foreground, 8 clients x 32 in flight, 8 workers",
			load.Pairs{Clients: 8, Window: 32, Workers: 8},
			[]target{{what: rate, sign: atLeast, bound: 1.9, others: gearmand}},
		},
		{
			"sleepers", "Foreground, 1 client, 200 sleeping workers",
			load.Pairs{Clients: 1, Window: 1, Workers: 200},
			[]target{{what: rate, sign: atLeast, bound: 20, others: gearmand}},
		},
	}
	var all []*bench
	for _, l := range loads {
		b := &bench{name: fmt.Sprintf("foreground-%s", l.name), title: l.title, targets: l.targets}
		l.pairs.Size = payloadSize
		for _, who := range []string{gm, gearmand} {
			b.contenders = append(b.contenders, contender{who, func() (figures, error) {
				s, _, err := e.start(who)
				return served(s, err, e.period(), func(addr string) (*load.Load, error) {
					return load.Foreground(addr, l.pairs)
				})
			}})
		}
		all = append(all, b)
	}
	return all
}
