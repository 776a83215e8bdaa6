//go:build linux

package main

import (
	"math"

	"golang.org/x/sys/unix"

	"gm/scripts/load"
	"gm/scripts/peer"
)

// durableBenches measure jobs that are on the disk before they are
// acknowledged.
func durableBenches(e *env) []*bench {
	const inMemory = "gm in memory"
	durable := func() (*peer.Server, error) { return peer.GM(e.gm, e.dir, "--data", "DIR/data") }
	run := func(start func() (*peer.Server, error), window int) func() (figures, error) {
		return func() (figures, error) {
			unix.Sync() // this contender must not wait for the writes of others
			s, err := start()
			if err != nil {
				return nil, err
			}
			defer s.Kill()
			l, err := load.Submit(load.Gearman, s.Addr, load.Submission{
				Job:  load.Job{Size: payloadSize, Unique: true},
				Jobs: math.MaxInt, Conns: 8, Window: window,
			})
			return measure(s, e.period(), l, err)
		}
	}
	return []*bench{
		{
			name:  "durable-8x64",
			title: "Durable background submit, each with its own unique, 8 connections x 64 in flight; gearmand with SQLite",
			contenders: []contender{
				{gm, run(durable, 64)},
				{gearmand, run(func() (*peer.Server, error) {
					return peer.Gearmand(e.dir, "--queue-type=libsqlite3", "--libsqlite3-db=DIR/queue.db")
				}, 64)},
			},
			targets: []target{{rate, atLeast, 300, gearmand}},
		},
		{
			name:  "durable-8x512",
			title: "The same, 8 connections x 512 in flight",
			contenders: []contender{
				{gm, run(durable, 512)},
				{inMemory, run(func() (*peer.Server, error) { return peer.GM(e.gm, e.dir) }, 512)},
			},
			targets: []target{{rate, atLeast, 1. / 3, inMemory}},
		},
	}
}
