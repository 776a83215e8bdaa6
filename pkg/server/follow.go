package server

import (
	"fmt"
	"slices"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// Following a job. Connections that follow it get what its worker sends, as JSON
// lines, and its outcome in the end, as those that wait for it. They have the
// back-pressure of clients.

// adminFollow answers with what becomes of a job, as it comes. What the job has
// sent before is told first, as far as it is kept.
func (c *conn) adminFollow(now int64, args [][]byte) []byte {
	r := c.s.results
	j := c.s.q.Lookup(args[0])
	reply := c.adminWait(now, args)
	if j == nil || reply != nil || c.outcomes == nil {
		return reply
	}
	r.follows[j] = append(r.follows[j], c)
	if p := r.parts[j]; p != nil && !p.lost {
		c.sendEvent(&wire.FollowEvent{Event: wire.FollowData, Data: p.data})
	}
	if num, den := j.Status(); num != 0 || den != 0 {
		c.sendEvent(&wire.FollowEvent{Event: wire.FollowStatus, Numerator: num, Denominator: den})
	}
	return nil
}

func (c *conn) sendEvent(e *wire.FollowEvent) {
	var out rows
	out.add(e)
	c.sendText(out.b)
}

// followed tells those who follow j what its worker has sent.
func (r *results) followed(j *queue.Job, p *wire.Packet) {
	var e wire.FollowEvent
	switch p.Type {
	case wire.WorkData, wire.WorkComplete:
		if len(p.Args[1]) == 0 {
			return
		}
		e = wire.FollowEvent{Event: wire.FollowData, Data: p.Args[1]}
	case wire.WorkWarning:
		e = wire.FollowEvent{Event: wire.FollowWarning, Data: p.Args[1]}
	case wire.WorkStatus:
		e.Event = wire.FollowStatus
		e.Numerator, e.Denominator = j.Status()
	default:
		return
	}
	r.tellFollowers(j, &e)
}

func (r *results) tellFollowers(j *queue.Job, e *wire.FollowEvent) {
	for _, c := range r.follows[j] {
		c.sendEvent(e)
	}
}

// unfollow forgets that c follows j.
func (r *results) unfollow(j *queue.Job, c *conn) {
	all := slices.DeleteFunc(r.follows[j], func(other *conn) bool { return other == c })
	if r.follows[j] = all; len(all) == 0 {
		delete(r.follows, j)
	}
}

// adminFront moves a waiting job to the head of its queue.
func (c *conn) adminFront(_ int64, args [][]byte) []byte {
	j := c.s.q.Lookup(args[0])
	switch {
	case j == nil && c.s.q.LookupDead(args[0]) == nil:
		return c.s.unknownJob()
	case j == nil:
		return fmt.Appendf(nil, "ERR NOT_WAITING the job is %s\r\n", wire.StateDead)
	case !c.s.q.MoveToFront(j):
		return fmt.Appendf(nil, "ERR NOT_WAITING the job is %v\r\n", j.State())
	}
	return []byte(wire.ReplyOK)
}
