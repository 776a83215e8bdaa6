package cmd

import (
	"math"
	"os"

	"gm/cmd/cli"
	"gm/pkg/server"
	"gm/pkg/wire"
)

// memoryPlan divides the memory of the machine. Its bounds are in bytes; 0 is no bound.
type memoryPlan struct {
	payloads int64 // of jobs that are not running
	jobs     int64 // all memory of jobs
	peers    int64 // buffers of connections; 0 is the server's default
	limit    int64 // above this Go's collector works harder
	garbage  int64 // allowed before the collector runs
	payload  int64 // size of the largest payload
	results  int64 // of jobs that have ended
	socket   int   // the system's buffers of a connection, each way; 0 is the system's default
}

const (
	// memorySlack is the memory that a server with --memory may use in addition to
	// payloads, if the machine has it.
	memorySlack = 100 << 20
	// mostHeadroom is the memory outside Go's heap on a small machine: the program, stacks
	// and the system's buffers of sockets.
	mostHeadroom = 48 << 20
	// serverItself is the approximate heap of an idle server, with the short-lived needs of
	// a busy one.
	serverItself = 16 << 20
	// mostPeers is the maximum for connections on a large machine.
	mostPeers = 1 << 30
)

// planMemory divides total bytes, the memory of the machine or of the control groups of
// the process; 0 is unknown. asked is --memory, or negative without it.
//
// A tenth is left to the rest of the system, more on small machines. A quarter of the
// memory for Go is left to garbage, because the collector would run all the time
// otherwise. A quarter of the rest is for connections, and the remainder for jobs.
func planMemory(total, asked int64) memoryPlan {
	p := memoryPlan{payloads: max(asked, 0), payload: wire.DefaultMaxPayload, results: server.DefaultResultsMemory}
	if total <= 0 {
		if asked > 0 {
			p.limit = 2*asked + memorySlack
		}
		p.garbage = spareMemory(p.payloads)
		return p
	}
	p.limit = total - max(total/10, min(3*total/10, mostHeadroom))
	live := (p.limit - min(total/6, serverItself)) * 3 / 4
	p.peers = min(live/4, mostPeers)
	p.jobs = live - p.peers
	if asked < 0 {
		p.payloads = min(total/2, p.jobs)
	}
	if total < smallMachine {
		p.socket = int(max(total/1024, leastSocket))
	}
	p.results = min(server.DefaultResultsMemory, total/16)
	p.jobs = max(p.jobs, p.payloads) // --memory may exceed the memory of the machine
	switch {
	case asked == 0: // no bound
		p.jobs, p.limit = 0, 0
	case asked > 0:
		p.limit = min(p.limit, 2*asked+memorySlack)
		p.peers = min(p.peers, max(asked/2, leastPeers))
	}
	p.garbage = min(spareMemory(p.payloads), max(total/8, 4<<20))
	p.payload = min(p.payload, total/8)
	return p
}

const (
	// smallMachine is the memory below which the buffers of sockets matter: 64 of them may
	// grow to some hundred MiB.
	smallMachine = 1 << 30
	leastSocket  = 64 << 10
)

// leastPeers is the minimum for connections, if the machine has it.
const leastPeers = 16 << 20

// planned returns the plan for this process.
func planned(c *cli.Context) memoryPlan {
	asked := int64(-1)
	if c.IsSet("memory") {
		asked = cli.SizeOf(c, "memory")
	}
	return planMemory(min(totalMemory(), math.MaxInt), asked) // an address may have 32 bits
}

// readNumber returns the number at the beginning of a file, or 0 if the file begins
// with something else, as a limit of "max" does.
func readNumber(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	var n int64
	for _, b := range text {
		if b < '0' || b > '9' || n > 1<<58 {
			break
		}
		n = 10*n + int64(b-'0')
	}
	return n
}

// spareMemory returns the number of bytes that garbage may take: an eighth of the
// bound for payloads, from 64 MiB to 1 GiB.
func spareMemory(bound int64) int64 {
	if bound <= 0 {
		return 256 << 20
	}
	return min(max(bound/8, 64<<20), 1<<30)
}
