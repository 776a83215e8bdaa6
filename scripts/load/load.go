//go:build linux

package load

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Load is one that is ready to run. Only Stop may be called by another
// goroutine.
type Load struct {
	loop   *loop
	start  func() error
	result Result
}

// Result is the result of a Load.
type Result struct {
	Jobs      int
	Took      time.Duration
	Latencies []time.Duration // of foreground jobs, by clients with one in flight
}

// Rate returns the jobs a second.
func (r Result) Rate() float64 { return float64(r.Jobs) / r.Took.Seconds() }

// Quantile returns the q-quantile of all, 0 of nothing.
func Quantile[T cmp.Ordered](all []T, q float64) (t T) {
	if len(all) == 0 {
		return t
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(all)-1, int(q*float64(len(all))))]
}

// Run runs the load until its jobs are done, but not for longer than the limit,
// which is no error. It can be called once.
func (l *Load) Run(limit time.Duration) (Result, error) {
	took, err := l.loop.run(limit, l.start)
	l.result.Took = took
	return l.result, err
}

// Stop ends a Run within a tenth of a second.
func (l *Load) Stop() { l.loop.stop.Store(true) }

// Close closes the load's connections.
func (l *Load) Close() { l.loop.close() }

// Submission says how background jobs are submitted.
type Submission struct {
	Job
	Jobs   int // the load is over when so many are acknowledged
	Conns  int
	Window int // jobs in flight on a connection
}

// Submit makes a load ready that submits background jobs. When it ends, a few
// more than Jobs may have been sent.
func Submit(p Protocol, addr string, s Submission) (*Load, error) {
	l := &Load{}
	job := p.submission(s.Job)
	sent := 0
	send := func(c *conn, n int) error {
		n = min(n, s.Jobs-sent)
		sent += n
		for n > 0 {
			part := min(n, len(job.packets)/job.size)
			if err := c.send(job.take(part)); err != nil {
				return err
			}
			n -= part
		}
		return nil
	}
	conns, err := l.dial(addr, s.Conns, func(_ int, c *conn) error {
		c.take = func(b []byte) (int, error) {
			n, used, err := p.accepted(b)
			if err != nil {
				return used, err
			}
			l.result.Jobs += n
			l.loop.ended = l.result.Jobs >= s.Jobs
			return used, send(c, n)
		}
		return p.greet(c, nil)
	})
	if err != nil {
		return nil, err
	}
	l.start = func() error {
		for _, c := range conns {
			if err := send(c, s.Window); err != nil {
				return err
			}
		}
		return nil
	}
	return l, nil
}

// Drain makes workers ready that grab jobs, one at a time, and end them at
// once, until Jobs are done or none is left. Worker i has functions(i).
func Drain(p Protocol, addr string, workers, jobs int, functions func(i int) []string) (*Load, error) {
	l := &Load{}
	busy := workers
	var out []byte
	conns, err := l.dial(addr, workers, func(i int, c *conn) error {
		c.take = func(b []byte) (used int, err error) {
			out = out[:0]
			for used < len(b) {
				next, n, a, err := p.assigned(out, b[used:])
				if err != nil {
					return used, err
				}
				if a == partly {
					break
				}
				used += n
				out = next
				switch a {
				case job:
					l.result.Jobs++
				case nothing:
					busy--
				}
			}
			l.loop.ended = l.result.Jobs >= jobs || busy == 0
			if len(out) == 0 {
				return used, nil
			}
			return used, c.send(out)
		}
		return p.greet(c, functions(i))
	})
	if err != nil {
		return nil, err
	}
	l.start = func() error {
		for _, c := range conns {
			if err := c.send(p.grab()); err != nil {
				return err
			}
		}
		return nil
	}
	return l, nil
}

// dial opens a load's connections; if it cannot, the load is closed.
func (l *Load) dial(addr string, n int, each func(i int, c *conn) error) (conns []*conn, err error) {
	if l.loop == nil {
		if l.loop, err = newLoop(); err != nil {
			return nil, err
		}
	}
	for i := range n {
		c, err := l.loop.dial(addr)
		if err == nil {
			err = each(i, c)
		}
		if err != nil {
			l.Close()
			return nil, fmt.Errorf("connection %d of %d: %w", i+1, n, err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}
