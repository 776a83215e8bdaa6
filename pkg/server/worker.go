package server

import (
	"bytes"
	"log/slog"

	"gm/pkg/queue"
	"gm/pkg/server/transport"
	"gm/pkg/wire"
)

const (
	// minTimeout is the shortest time limit of a job, in milliseconds.
	minTimeout = 1000
	// maxTimeout is the longest, in milliseconds: 34 years. Longer ones are cut, so
	// that a time plus a limit does not overflow.
	maxTimeout = 1 << 40
	// abilitySteps is the number of functions of a worker that are handled under one
	// lock.
	abilitySteps = 1000
)

func (c *conn) canDo(now int64, p *wire.Packet) error {
	if err := checkFunction(p.Args[0]); err != nil {
		c.reply().sendError(wire.CodeInvalidFunction, err.Error())
		return nil
	}
	var timeout int64
	if p.Type == wire.CanDoTimeout {
		timeout = timeLimit(p.Args[1])
	}
	c.s.q.CanDo(now, c.peer, p.Args[0], timeout)
	return nil
}

// timeLimit returns the milliseconds of CAN_DO_TIMEOUT, as gearmand reads them: 0,
// a negative number and any other text are no limit. Less than a second becomes a
// second, because many users of libgearman pass seconds, as its header says.
func timeLimit(text []byte) int64 {
	ms := wire.Number(text)
	if ms <= 0 {
		return 0
	}
	return min(max(ms, minTimeout), maxTimeout)
}

func (c *conn) cantDo(_ int64, p *wire.Packet) error {
	c.s.q.CantDo(c.peer, p.Args[0])
	return nil
}

func (c *conn) resetAbilities(int64, *wire.Packet) error {
	c.blocked = c.s.q.DropAbilities(c.peer, abilitySteps)
	return nil
}

func (c *conn) preSleep(now int64, _ *wire.Packet) error {
	if c.blocked = c.s.q.PrepareClass(c.peer, abilitySteps); !c.blocked {
		c.s.q.PreSleep(now, c.peer)
	}
	return nil
}

// grab gives the worker a job, or NO_JOB.
func (c *conn) grab(now int64, p *wire.Packet) error {
	if c.blocked = c.s.q.PrepareClass(c.peer, abilitySteps); c.blocked {
		return nil
	}
	var j *queue.Job
	if c.s.handsOut() {
		j = c.s.q.Grab(now, c.peer)
	} else {
		j = c.s.q.GrabForeground(now, c.peer) // the store does not have it
	}
	if j == nil {
		c.reply().sendPacket(wire.NoJob)
		return nil
	}
	c.raised = 0 // it may be the same job again
	c.s.aheadIn--
	if c.s.debug {
		c.s.logAfterTurn(slog.LevelDebug, "assigned", append(jobAttrs(j), slog.String("worker", c.addr))...)
	}
	if j.Spilled() {
		c.assignSpilled(j, p.Type)
		return nil
	}
	function := append(c.s.function[:0], j.Function().Name()...)
	c.s.function = function
	var buf [wire.MaxHandle]byte
	handle := j.AppendHandle(buf[:0])
	switch assignedBy(p.Type, j) {
	case wire.JobAssign:
		c.reply().sendShared(wire.JobAssign, j.Payload(), handle, function)
	case wire.JobAssignAll:
		c.reply().sendShared(wire.JobAssignAll, j.Payload(), handle, function, j.Unique(), j.Reducer())
	default:
		c.reply().sendShared(wire.JobAssignUniq, j.Payload(), handle, function, j.Unique())
	}
	return nil
}

// assignedBy returns the packet that answers a grab with j.
func assignedBy(grab wire.Type, j *queue.Job) wire.Type {
	switch {
	case grab == wire.GrabJob:
		return wire.JobAssign
	case grab == wire.GrabJobAll && len(j.Reducer()) > 0:
		return wire.JobAssignAll
	}
	return wire.JobAssignUniq
}

// failOversized ends the job whose worker has sent a packet over the limit. The
// connection is about to be closed, and the next worker would send as much.
func (c *conn) failOversized(now int64, why error) {
	switch c.s.pkt.Type {
	case wire.WorkComplete, wire.WorkData, wire.WorkWarning, wire.WorkException:
	default:
		return
	}
	handle := c.s.pkt.Args[0]
	j := c.s.q.Held(c.peer, handle)
	if j == nil {
		return
	}
	reason := []byte(why.Error())
	for w := range j.Waiters {
		client := w.Owner.(*conn)
		client.reply().sendPacket(wire.WorkWarning, handle, reason)
		client.reply().sendPacket(wire.WorkFail, handle)
	}
	c.s.q.Note(j, reason)
	c.s.q.FailForGood(now, j)
	c.s.logAfterTurn(slog.LevelWarn, "failed a job whose worker sent too much",
		slog.String("job", string(handle)), slog.String("worker", c.addr), slog.String("why", why.Error()))
}

// workPart forwards data and warnings.
func (c *conn) workPart(_ int64, p *wire.Packet) error {
	if j := c.heldJob(p); j != nil {
		if p.Type == wire.WorkData {
			c.s.results.addPart(j, p.Args[1])
		} else if j.Background() {
			c.s.q.Note(j, p.Args[1]) // often the reason of a later failure
		}
		c.forward(j, p)
	}
	return nil
}

// workStatus stores the status of a job and forwards it. A packet without the
// numbers is ignored: the worker keeps its job.
func (c *conn) workStatus(_ int64, p *wire.Packet) error {
	if p.Args[1] == nil || p.Args[2] == nil {
		return nil
	}
	j := c.heldJob(p)
	if j == nil {
		return nil
	}
	// Text that is no number counts as 0, and reaches the clients unchanged.
	c.s.q.SetStatus(j, wire.Number(p.Args[1]), wire.Number(p.Args[2]))
	c.forward(j, p)
	return nil
}

func (c *conn) workComplete(now int64, p *wire.Packet) error {
	if c.afterException(p) {
		return nil
	}
	if j := c.heldJob(p); j != nil {
		c.forward(j, p)
		if c.s.commit != nil && j.Journaled() {
			c.s.commit.makeRoom(len(p.Args[1])) // its result and its end are stored together
		}
		c.s.results.reportEnd(now, j, wire.OutcomeCompleted, p.Args[1])
		c.s.q.Complete(now, j)
		c.ended = true
	}
	return nil
}

// workFail ends the job, unless it will be tried again.
func (c *conn) workFail(now int64, p *wire.Packet) error {
	if c.afterException(p) {
		return nil
	}
	if j := c.heldJob(p); j != nil {
		if c.s.q.Final(j) {
			c.forward(j, p)
		}
		c.s.q.Fail(now, j)
		c.ended = true
	}
	return nil
}

// workException ends the job, unless it will be tried again: clients that
// asked for exceptions get the packet, the others a WORK_FAIL.
func (c *conn) workException(now int64, p *wire.Packet) error {
	j := c.heldJob(p)
	if j == nil {
		return nil
	}
	if c.s.q.Final(j) {
		for w := range j.Waiters {
			client := w.Owner.(*conn)
			if client.exceptions {
				client.reply().sendPacket(p.Type, p.Args[0], p.Args[1])
			} else {
				client.reply().sendPacket(wire.WorkFail, p.Args[0])
			}
		}
	}
	c.raised = j.Seq()
	c.s.q.Note(j, p.Args[1])
	c.s.raising = true
	c.s.q.Fail(now, j)
	c.s.raising = false
	c.ended = true
	return nil
}

// afterException reports whether p ends a job that this connection has just
// ended with an exception. Perl's and libgearman's workers send both and die
// of an ERROR here.
func (c *conn) afterException(p *wire.Packet) bool {
	seq, ok := c.s.q.Number(p.Args[0])
	again := ok && seq == c.raised
	c.raised = 0
	return again
}

// forward sends a worker's packet to all clients that wait for the job. It copies a
// large payload at most once.
func (c *conn) forward(j *queue.Job, p *wire.Packet) {
	if len(c.s.results.follows) > 0 {
		c.s.results.passOnPacket(j, p)
	}
	n := p.Type.NumArgs() - 1
	last := p.Args[n]
	if len(last) >= transport.ShareFrom && j.NumWaiters() > 0 && !c.in.Detach(last) {
		last = bytes.Clone(last)
	}
	for w := range j.Waiters {
		w.Owner.(*conn).reply().sendShared(p.Type, last, p.Args[:n]...)
	}
}
