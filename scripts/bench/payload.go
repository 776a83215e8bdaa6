//go:build linux

package main

import (
	"gm/scripts/load"
	"gm/scripts/peer"
)

// large is the size of a large payload, in bytes.
const large = 64_000_000

// payloadBenches compare payloads that go through a server and back with bytes
// that go through a relay without packets.
func payloadBenches(e *env) []*bench {
	return []*bench{{
		name:  "payload",
		title: "64 MB payloads through the server to a worker and back; socat between the same two",
		contenders: append(e.each(func(s *peer.Server, _ load.Protocol) (figures, error) {
			return e.echoes(load.LargeJobs(s.Addr, e.n(large), rounds64))
		}, gm, gearmand), contender{socat, func() (figures, error) {
			ends, err := load.ListenEnds()
			if err != nil {
				return nil, err
			}
			defer ends.Close()
			near, far := ends.Addrs()
			s, err := peer.Socat(e.dir, near, far)
			if err != nil {
				return nil, err
			}
			defer s.Kill()
			return e.echoes(ends.Echo(e.n(large), rounds64))
		}}),
		targets: []target{{speed, atLeast, 0.8, socat}},
	}}
}

// rounds64 is how often a payload goes to and fro in a turn.
const rounds64 = 8

func (e *env) echoes(r load.Result, err error) (figures, error) {
	if err != nil {
		return nil, err
	}
	return figures{speed: 2 * float64(e.n(large)) / 1e6 * r.Rate()}, nil
}
