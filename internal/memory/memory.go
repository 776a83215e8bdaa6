// Package memory finds the memory that the machine or the control groups of the process
// give to a server, and divides it. [Total] returns it, [Divide] makes a [Plan].
package memory

import "os"

// Plan divides the memory of a server. Its limits are in bytes; 0 means no limit.
type Plan struct {
	Payloads int64 // of jobs that are not running
	Jobs     int64 // all memory of jobs
	Peers    int64 // buffers of connections; 0 means the server's default
	Limit    int64 // for Go's heap; near it the collector works harder
	Garbage  int64 // allowed before the collector runs
	Payload  int64 // the largest payload
	Results  int64 // of jobs that have ended
	Socket   int   // each system buffer of a connection; 0 means the system's default
}

// Largest has the values of a Plan that no machine exceeds, in bytes.
type Largest struct {
	Payload int64
	Results int64
}

const (
	// slack is the memory that a server with a limit for payloads may use in addition to
	// them, if the machine has it.
	slack = 100 << 20
	// maxHeadroom is the maximum memory left outside Go's heap on a small machine, for the
	// program, stacks and the system's buffers of sockets.
	maxHeadroom = 48 << 20
	// idleHeap is the approximate heap of an idle server, with the short-lived needs of a
	// busy one.
	idleHeap = 16 << 20
	// maxPeers is the maximum for connections on a large machine, and minPeers their
	// minimum, if the machine has it.
	maxPeers = 1 << 30
	minPeers = 16 << 20
	// smallMachine is the memory below which the buffers of sockets matter: those of 64
	// connections may grow to some hundred MiB. minSocket is their minimum.
	smallMachine = 1 << 30
	minSocket    = 64 << 10
)

// Divide divides total bytes, of which 0 is unknown. payloads is the requested limit for
// payloads: 0 means no limit, a negative number leaves it to Divide.
//
// A tenth is left to the rest of the system, more on small machines. A quarter of the
// memory for Go is left to garbage, because the collector would run all the time
// otherwise. A quarter of the rest is for connections, and the remainder for jobs.
func Divide(total, payloads int64, largest Largest) Plan {
	p := Plan{Payloads: max(payloads, 0), Payload: largest.Payload, Results: largest.Results}
	if total <= 0 {
		if payloads > 0 {
			p.Limit = 2*payloads + slack
		}
		p.Garbage = garbageFor(p.Payloads)
		return p
	}
	p.Limit = total - max(total/10, min(3*total/10, maxHeadroom))
	live := (p.Limit - min(total/6, idleHeap)) * 3 / 4
	p.Peers = min(live/4, maxPeers)
	p.Jobs = live - p.Peers
	if payloads < 0 {
		p.Payloads = min(total/2, p.Jobs)
	}
	if total < smallMachine {
		p.Socket = int(max(total/1024, minSocket))
	}
	p.Results = min(p.Results, total/16)
	p.Jobs = max(p.Jobs, p.Payloads) // a requested limit may exceed the memory
	switch {
	case payloads == 0:
		p.Jobs, p.Limit = 0, 0
	case payloads > 0:
		p.Limit = min(p.Limit, 2*payloads+slack)
		p.Peers = min(p.Peers, max(payloads/2, minPeers))
	}
	p.Garbage = min(garbageFor(p.Payloads), max(total/8, 4<<20))
	p.Payload = min(p.Payload, total/8)
	return p
}

// garbageFor returns the number of bytes that garbage may take: an eighth of the limit
// for payloads, but from 64 MiB to 1 GiB.
func garbageFor(payloads int64) int64 {
	if payloads <= 0 {
		return 256 << 20
	}
	return min(max(payloads/8, 64<<20), 1<<30)
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
