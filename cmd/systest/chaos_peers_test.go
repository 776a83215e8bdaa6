package systest

import (
	"context"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"gm/pkg/wire"
)

// rawConn is a connection to a job server that speaks packets, not calls.
type rawConn struct {
	net.Conn
	r *wire.Reader
	w *wire.Writer
}

func dialRaw(addr string) (*rawConn, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &rawConn{Conn: conn, r: wire.NewReader(conn, wire.Limits{}), w: wire.NewWriter(conn)}, nil
}

// send collects a packet for the next Flush of w.
func (c *rawConn) send(t wire.Type, args ...string) {
	b := make([][]byte, len(args))
	for i, arg := range args {
		b[i] = []byte(arg)
	}
	c.w.Send(wire.Request, t, b...)
}

// submitter submits the jobs of a stream, pipelined, and notes the answers. It
// never submits one twice.
type submitter struct {
	g      *gmServer
	l      *ledger
	st     *stream
	random *rand.Rand
}

func (s *submitter) run(ctx context.Context) {
	for lf := s.g.next(ctx, nil); lf != nil; lf = s.g.next(ctx, lf) {
		c, err := dialRaw(lf.addr)
		if err != nil {
			continue // it has been killed already
		}
		s.submitAll(ctx, lf, c)
		c.Close()
	}
}

// submitAll submits through one life of the server, or until ctx is done; then it waits
// for the missing answers.
func (s *submitter) submitAll(ctx context.Context, lf *life, c *rawConn) {
	var open []int // on their way, in order
	left := s.st.perLife
	for {
		if s.st.pace > 0 {
			select {
			case <-time.After(s.st.pace):
			case <-ctx.Done():
			}
		}
		if ctx.Err() == nil {
			for ; left > 0 && len(open) < s.st.window && (len(open) == 0 || s.random.IntN(8) > 0); left-- {
				open = append(open, s.submit(c))
			}
		}
		if len(open) == 0 {
			if ctx.Err() == nil {
				lf.wait(ctx)
			}
			return
		}
		if c.w.Flush() != nil {
			return
		}
		var p wire.Packet
		if c.SetReadDeadline(time.Now().Add(patience)) != nil || c.r.Next(&p) != nil {
			return
		}
		switch p.Type {
		case wire.JobCreated:
			s.l.answered(lf.n, s.st, open[0], string(p.Args[0]))
		case wire.Error:
			s.l.answered(lf.n, s.st, open[0], "")
			select { // it may say the same for a while
			case <-time.After(2 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		open = open[1:]
	}
}

func (s *submitter) submit(c *rawConn) int {
	n := s.l.submitted(s.st)
	args := []string{s.st.function, s.st.unique(n)}
	if s.st.delayed {
		args = append(args, strconv.FormatInt(s.l.due(s.st, n), 10))
	}
	c.send(s.st.submit(n), append(args, string(s.st.payload(n)))...)
	return n
}

// drainer is a worker for one function.
type drainer struct {
	g        *gmServer
	l        *ledger
	function string
	leaves   bool // now and then, with jobs in its hands
	slow     bool // so that a server that drains has to wait for it
	random   *rand.Rand
}

// chaosWorkers returns one worker for each function of the ledger, so that it
// sees their order, and two more for that of the large jobs.
func chaosWorkers(l *ledger) (workers []*drainer) {
	seen := map[string]bool{}
	for _, st := range l.streams {
		if !seen[st.function] {
			seen[st.function] = true
			workers = append(workers, &drainer{function: st.function})
		}
		if st.function == "large" {
			workers = append(workers,
				&drainer{function: st.function, leaves: true}, &drainer{function: st.function, leaves: true, slow: true})
		}
	}
	return workers
}

func (w *drainer) run(ctx context.Context) {
	for lf := w.g.next(ctx, nil); lf != nil; {
		c, err := dialRaw(lf.addr)
		if err == nil {
			stop := context.AfterFunc(ctx, func() { c.Close() })
			w.work(ctx, lf, c)
			stop()
			c.Close()
		}
		if lf.hasEnded() || err != nil {
			lf = w.g.next(ctx, lf)
		} else if ctx.Err() != nil {
			return
		}
	}
}

// work works until the connection is gone, or it leaves.
func (w *drainer) work(ctx context.Context, lf *life, c *rawConn) {
	c.send(wire.CanDo, w.function)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		for !w.l.behind(w.function) {
			select {
			case <-tick.C:
			case <-lf.done:
				return
			case <-ctx.Done():
				return
			}
		}
		handles, ids, ok := w.grab(lf, c, 1+w.random.IntN(8))
		if !ok {
			return
		}
		if w.slow && len(ids) > 0 {
			select {
			case <-time.After(time.Duration(w.random.IntN(40)) * time.Millisecond):
			case <-ctx.Done():
			}
		}
		if w.leaves && len(ids) > 0 && w.random.IntN(20) == 0 {
			w.l.leftJobs(ids)
			return
		}
		for _, h := range handles {
			c.send(wire.WorkComplete, h, "")
		}
		if len(handles) > 0 {
			if c.w.Flush() != nil {
				return
			}
			w.l.endedJobs(ids)
			continue
		}
		c.send(wire.PreSleep)
		var p wire.Packet
		for p.Type != wire.Noop {
			if c.w.Flush() != nil || c.r.Next(&p) != nil {
				return
			}
		}
	}
}

// grab asks for n jobs in one write and takes the jobs that arrive.
func (w *drainer) grab(lf *life, c *rawConn, n int) (handles []string, ids []jobID, ok bool) {
	for range n {
		c.send(wire.GrabJobUniq)
	}
	if c.w.Flush() != nil {
		return nil, nil, false
	}
	for n > 0 {
		var p wire.Packet
		if c.r.Next(&p) != nil {
			return nil, nil, false
		}
		switch p.Type {
		case wire.NoJob:
			n--
		case wire.JobAssignUniq:
			n--
			handle := string(p.Args[0])
			id, known := w.l.came(lf.n, handle, string(p.Args[2]), p.Args[3])
			handles = append(handles, handle)
			if known {
				ids = append(ids, id)
			}
		}
	}
	return handles, ids, true
}
