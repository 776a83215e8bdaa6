package server

import (
	"gm/pkg/queue"
	"gm/pkg/wire"
)

// connsListing collects the rows of all connections. A step is a connection, or one of
// its functions and jobs. A worker may have a million of them: so its row is collected
// in parts, which takeRows puts together without the lock.
type connsListing struct {
	s        *Server
	withJobs bool

	last  *conn          // the connection that was begun last
	begun bool           // its row is not complete
	walk  queue.PeerWalk // of last, while begun is set
	parts []connPart

	row  wire.Session   // of the parts that takeRows has had so far; the lock does not guard it
	rows []wire.Session // for takeRows to reuse
}

// connPart is a part of the row of a connection. The first one has all fields. The
// others have only further Functions and Jobs.
type connPart struct {
	wire.Session
	first, last bool
	left        bool // the connection has left since its first part
}

// connsListing lists all connections, with their jobs or without. The lock is held.
func (s *Server) connsListing(withJobs bool) *listing[wire.Session] {
	l := &connsListing{s: s, withJobs: withJobs}
	s.conns.beginWalk()
	return &listing[wire.Session]{step: l.step, take: l.takeRows, done: l.endListing}
}

// step collects parts of rows. The lock is held.
func (l *connsListing) step(_ int64, most int) (more bool) {
	for b := newBudget(most); ; {
		switch {
		case !l.begun && !l.beginRow():
			return false
		case len(l.parts) == 0: // the earlier parts were taken
			l.parts = append(l.parts, connPart{})
		}
		steps := l.fillPart(&l.parts[len(l.parts)-1], min(b.steps, clockInterval))
		if !b.spend(1 + steps) {
			return true
		}
	}
}

// beginRow begins the row of the next connection. It returns false after the last.
func (l *connsListing) beginRow() bool {
	l.last, l.begun = l.s.conns.after(l.last, func(*conn) bool { return false })
	if l.begun {
		l.last.peer.BeginWalk(&l.walk)
		l.parts = append(l.parts, connPart{Session: l.last.session(), first: true})
	}
	return l.begun
}

// fillPart adds functions and jobs to the last part, in at most that many steps, and
// returns their number.
func (l *connsListing) fillPart(part *connPart, most int) (steps int) {
	part.Functions, steps = l.walk.Functions(part.Functions, most)
	if l.withJobs {
		steps += l.walk.Jobs(most-steps, func(j *queue.Job) { part.Jobs = append(part.Jobs, j.Handle()) })
	}
	if steps < most {
		l.walk.End()
		l.begun, part.last, part.left = false, true, !l.last.listed
	}
	return steps
}

// takeRows returns and forgets the rows that are complete. The lock is not needed.
func (l *connsListing) takeRows() []wire.Session {
	l.rows = l.rows[:0]
	for i := range l.parts {
		part := &l.parts[i]
		if part.first {
			l.row = part.Session
		} else {
			l.row.Functions = append(l.row.Functions, part.Functions...)
			l.row.Jobs = append(l.row.Jobs, part.Jobs...)
		}
		if part.last && !part.left {
			l.rows = append(l.rows, l.row)
		}
	}
	clear(l.parts)
	l.parts = l.parts[:0]
	return l.rows
}

// endListing ends the listing. The lock is held.
func (l *connsListing) endListing() {
	if l.begun {
		l.walk.End()
	}
	l.s.conns.endWalk()
}

// session describes a connection, without its functions and jobs. The lock is held.
func (c *conn) session() wire.Session {
	return wire.Session{
		FD:         c.Socket().FD(),
		Addr:       c.addr,
		ID:         c.id,
		AgeMS:      c.s.q.Now() - c.since,
		Functions:  make([]string, 0, min(c.peer.NumFunctions(), pageSteps)),
		Sleeping:   c.peer.Sleeping(),
		Waits:      c.peer.NumWaits(),
		OwedBytes:  c.Out.Size() + c.parked.size,
		Exceptions: c.exceptions,
	}
}

// workerRow returns the row of workers for a connection.
func workerRow(row *wire.Session) wire.WorkerInfo {
	return wire.WorkerInfo{FD: row.FD, Addr: hostOf(row.Addr), ID: row.ID, Functions: row.Functions}
}
