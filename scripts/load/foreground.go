//go:build linux

package load

import (
	"slices"
	"time"

	"gm/pkg/wire"
)

// Pairs says how foreground jobs are submitted and done. Their function is not
// one of those of background jobs.
type Pairs struct {
	Size    int // of payloads and results, in bytes
	Clients int
	Window  int // jobs in flight of a client
	Workers int // they sleep, and do a job at a time
	Jobs    int // the load is over when so many are done; 0 for its limit

	// Every is the time from one job of a client to the next; 0 submits a job
	// as soon as the one before is done. Window is 1 then.
	Every time.Duration
}

// ForegroundFunction is that of foreground jobs.
const ForegroundFunction = "foreground"

// Foreground makes clients and workers of a Gearman server ready; of either
// there may be none.
func Foreground(addr string, p Pairs) (*Load, error) {
	l := &Load{}
	if _, err := l.dial(addr, p.Workers, func(_ int, c *conn) error { return newSleeper(c, payload(p.Size)) }); err != nil {
		return nil, err
	}
	packet := wire.AppendString(nil, wire.Request, wire.SubmitJob, ForegroundFunction, "", payload(p.Size))
	packets := slices.Repeat(packet, p.Window)
	began := make([]time.Time, p.Clients)
	send := func(i int, c *conn, n int) error {
		began[i] = time.Now()
		return c.send(packets[:n*len(packet)])
	}
	clients, err := l.dial(addr, p.Clients, func(i int, c *conn) error {
		c.take = func(b []byte) (int, error) {
			n, used, err := completed(b)
			if err != nil || n == 0 {
				return used, err
			}
			if p.Window == 1 {
				l.result.Latencies = append(l.result.Latencies, time.Since(began[i]))
			}
			l.result.Jobs += n
			l.loop.ended = p.Jobs > 0 && l.result.Jobs >= p.Jobs
			if p.Every > 0 {
				began[i] = time.Time{}
				return used, nil
			}
			return used, send(i, c, n)
		}
		return sync(c, nil)
	})
	if err != nil {
		return nil, err
	}
	l.start = func() error {
		for i, c := range clients {
			if !began[i].IsZero() {
				continue // still waits for the one before
			}
			if err := send(i, c, p.Window); err != nil {
				return err
			}
		}
		return nil
	}
	if p.Every > 0 {
		l.loop.every, l.loop.tick = p.Every, l.start
	}
	return l, nil
}

// completed returns how many whole WORK_COMPLETE b begins with, and the bytes of
// all whole packets.
func completed(b []byte) (n, used int, err error) {
	for len(b)-used >= wire.HeaderSize {
		t, size := header(b[used:])
		if t != uint32(wire.JobCreated) && t != uint32(wire.WorkComplete) {
			return n, used, unexpected(b[used:])
		}
		if len(b)-used < size {
			break
		}
		used += size
		if t == uint32(wire.WorkComplete) {
			n++
		}
	}
	return n, used, nil
}

var preSleep = wire.AppendString(nil, wire.Request, wire.PreSleep)

// newSleeper makes c a worker that sleeps, is woken, and grabs until nothing is
// left, as libgearman's do.
func newSleeper(c *conn, result string) error {
	var out []byte
	asleep := true
	c.take = func(b []byte) (used int, err error) {
		out = out[:0]
		for len(b)-used >= wire.HeaderSize {
			t, size := header(b[used:])
			if len(b)-used < size {
				break
			}
			packet := b[used : used+size]
			used += size
			switch wire.Type(t) {
			case wire.Noop:
				if asleep {
					out = append(out, grabJob...)
				}
				asleep = false
			case wire.NoJob:
				out = append(out, preSleep...)
				asleep = true
			case wire.JobAssign:
				out = appendComplete(out, packet, result)
				out = append(out, grabJob...)
			default:
				return used, unexpected(packet)
			}
		}
		if len(out) == 0 {
			return used, nil
		}
		return used, c.send(out)
	}
	canDo := wire.AppendString(nil, wire.Request, wire.CanDo, ForegroundFunction)
	return sync(c, append(canDo, preSleep...))
}

// Idle connects workers that sleep and have one function, for which there are
// no jobs. The caller closes them.
func Idle(addr string, workers int) (*Load, error) {
	l := &Load{}
	hello := append(wire.AppendString(nil, wire.Request, wire.CanDo, "idle"), preSleep...)
	_, err := l.dial(addr, workers, func(_ int, c *conn) error { return sync(c, slices.Clone(hello)) })
	if err != nil {
		return nil, err
	}
	return l, nil
}
