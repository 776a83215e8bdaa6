package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// A worker may send packets about a job that, as far as the server knows, it does
// not hold any more:
//
//   - The server was restarted, or another one has taken over the store, or the
//     connection was lost, so the job waits again. If the worker can do its
//     function, it gets the job back, as if it had grabbed it, and the packet counts.
//   - The store is still being read, and may have the job. The connection waits for
//     it; if the store cannot be read, the packet is ignored.
//   - The job has exceeded its time limit, or was cancelled. The end of a job that
//     waits still counts. Other packets are ignored, up to the first end, because workers
//     of Perl and libgearman exit on an ERROR.
//
// Anything else is answered with JOB_NOT_FOUND.

// maxOverdue is the maximum number of jobs that a connection remembers after they
// were taken from it.
const maxOverdue = 64

// heldJob returns the job of a worker's packet, if the worker has that job. If not, it
// answers the worker and returns nil. It also returns nil if the packet has to wait,
// for room in the outboxes of the job's clients or for the store; then the packet is
// applied again.
func (c *conn) heldJob(p *wire.Packet) *queue.Job {
	j := c.s.q.Held(c.peer, p.Args[0])
	if j == nil {
		j = c.heldAgain(p)
	}
	switch {
	case c.blocked:
		return nil
	case j != nil:
		if c.awaitClients(j) {
			return nil
		}
		c.nameByHandle(p, j)
		return j
	case !c.ignoresLate(p) && !c.s.mayCome(p.Args[0]):
		c.reply().sendError(wire.CodeJobNotFound, fmt.Sprintf("%v: job %q is not this connection's", p.Type, p.Args[0]))
	}
	return nil
}

// nameByHandle puts j's handle into the packet. A handle that another server gave out
// has another host; clients know the handle with the host of this server.
func (c *conn) nameByHandle(p *wire.Packet, j *queue.Job) {
	var buf [wire.MaxHandle]byte
	if handle := j.AppendHandle(buf[:0]); !bytes.Equal(handle, p.Args[0]) {
		p.Args[0] = bytes.Clone(handle)
	}
}

// heldAgain gives the worker a waiting job back, or makes its connection wait for a
// job that may be read from the store.
func (c *conn) heldAgain(p *wire.Packet) *queue.Job {
	s := c.s
	seq, ok := s.q.Number(p.Args[0])
	if !ok {
		return nil
	}
	j := s.q.Lookup(p.Args[0])
	at := slices.Index(c.overdue, seq)
	switch {
	case j == nil:
		if at < 0 && s.unread.err == nil {
			c.awaitHandle(p.Args[0])
		}
		if c.blocked {
			s.late[seq] = c
		}
		return nil
	case at >= 0 && p.Type != wire.WorkComplete, !s.q.GrabAgain(s.q.Now(), c.peer, j):
		return nil
	}
	if at >= 0 {
		c.overdue = slices.Delete(c.overdue, at, at+1)
	}
	if s.debug {
		s.logAfterTurn(slog.LevelDebug, "taken back", append(jobAttrs(j), slog.String("worker", c.addr))...)
	}
	return j
}

// giveBack gives a job that has been read to the worker that waits for it, before
// others can grab it. The lock is held.
func (s *Server) giveBack(now int64, j *queue.Job) {
	if c := s.late[j.Seq()]; c != nil {
		delete(s.late, j.Seq())
		s.q.GrabAgain(now, c.peer, j)
	}
}

// mayCome reports whether the job with that handle may be in the store, and not read
// yet.
func (s *Server) mayCome(handle []byte) bool {
	seq, ok := s.q.Number(handle)
	return s.loading && ok && !s.isTaken(seq)
}

// expectLate notes that a job was taken from the connection. Its worker does not
// know yet.
func (c *conn) expectLate(j *queue.Job) {
	if len(c.overdue) == maxOverdue {
		c.overdue = c.overdue[1:]
	}
	c.overdue = append(c.overdue, j.Seq())
}

// ignoresLate reports whether the packet is about a job that was taken from this
// connection. The packet that ends the job is the last one that is ignored.
func (c *conn) ignoresLate(p *wire.Packet) bool {
	seq, ok := c.s.q.Number(p.Args[0])
	at := slices.Index(c.overdue, seq)
	if !ok || at < 0 {
		return false
	}
	switch p.Type {
	case wire.WorkComplete, wire.WorkFail, wire.WorkException:
		c.overdue = slices.Delete(c.overdue, at, at+1)
		c.ended = true
	}
	if p.Type == wire.WorkException {
		c.raised = seq
	}
	return true
}
