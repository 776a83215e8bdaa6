package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// A worker may send packets about a job that it does not hold any more, as far as
// the server knows:
//
//   - the server was restarted, or another one has taken over the store, or the
//     connection was lost: the job waits again. If the worker can do its function,
//     it gets the job back, as if it had grabbed it, and the packet counts;
//   - the store is still being read, and the job may come: the connection waits
//     for that, or, if the store can't be read, the packet is ignored;
//   - its time was over, or the job was cancelled. The end of a job that waits
//     still counts; other packets are ignored, up to the first end, as workers of
//     Perl and libgearman die of an ERROR.
//
// Anything else is answered with JOB_NOT_FOUND.

// maxOverdue is how many jobs that were taken from it a connection is known to
// be at.
const maxOverdue = 64

// held returns the job that the packet is about, if the worker has it. If not,
// the worker is told. It also returns nil if the packet has to wait: for room in
// the outboxes of the job's clients, or for the store; then it comes again.
func (c *conn) held(p *wire.Packet) *queue.Job {
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
		c.error(wire.CodeJobNotFound, fmt.Sprintf("%v: job %q is not this connection's", p.Type, p.Args[0]))
	}
	return nil
}

// nameByHandle puts j's handle into the packet, which has it with another host if
// another server gave it out. Clients know it with this one's.
func (c *conn) nameByHandle(p *wire.Packet, j *queue.Job) {
	var buf [wire.MaxHandle]byte
	if handle := j.AppendHandle(buf[:0]); !bytes.Equal(handle, p.Args[0]) {
		p.Args[0] = bytes.Clone(handle)
	}
}

// heldAgain gives the worker a job back that waits, or has its connection wait
// for one that may be read from the store.
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
		s.note(slog.LevelDebug, "taken back", append(jobAttrs(j), slog.String("worker", c.addr))...)
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

// mayCome reports whether a handle may be that of a job of the store that can't be
// read at the moment.
func (s *Server) mayCome(handle []byte) bool {
	seq, ok := s.q.Number(handle)
	return s.loading && ok && !s.isTaken(seq)
}

// expectLate notes that a job was taken from the connection, whose worker does
// not know.
func (c *conn) expectLate(j *queue.Job) {
	if len(c.overdue) == maxOverdue {
		c.overdue = c.overdue[1:]
	}
	c.overdue = append(c.overdue, j.Seq())
}

// ignoresLate reports whether the packet is about a job that was taken from this
// connection. One that ends the job is the last that is ignored.
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
