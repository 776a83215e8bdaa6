package server

import (
	"bytes"
	"slices"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// Following a job. A connection or a program that follows a job gets an event for
// each packet of its worker, and the outcome of the job in the end. As for clients,
// the server reads no more from a worker while a follower of its job has no room.

// eventReceiver follows jobs. The lock is held in all calls.
type eventReceiver interface {
	// sendEvent passes on an event; its bytes are valid until it returns.
	sendEvent(e *wire.FollowEvent)
	// isCrowded reports whether the receiver has no room for more.
	isCrowded() bool
	// whenRoom calls f once when the receiver has room again, or has ended.
	whenRoom(f func())
}

// addFollower sends the events of a job to a receiver from now on. The first events are
// the kept data and the status of the job. The lock is held.
func (r *results) addFollower(to eventReceiver, j *queue.Job) {
	r.follows[j] = append(r.follows[j], to)
	if p := r.parts[j]; p != nil && !p.lost {
		to.sendEvent(&wire.FollowEvent{Event: wire.FollowData, Data: p.data})
	}
	if num, den := j.Status(); num != 0 || den != 0 {
		to.sendEvent(&wire.FollowEvent{Event: wire.FollowStatus, Numerator: num, Denominator: den})
	}
}

// adminFollow answers with the events of a job and its outcome.
func (c *conn) adminFollow(now int64, args [][]byte) []byte {
	j := c.s.q.Lookup(args[0])
	reply := c.adminWait(now, args)
	if j == nil || reply != nil || c.outcomes == nil {
		return reply
	}
	c.s.results.addFollower(c, j)
	return nil
}

func (c *conn) sendEvent(e *wire.FollowEvent) { c.reply().sendText(appendJSON(nil, e)) }

// passOnPacket passes a packet of a worker on to the followers of its job.
func (r *results) passOnPacket(j *queue.Job, p *wire.Packet) {
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
	r.sendToFollowers(j, &e)
}

func (r *results) sendToFollowers(j *queue.Job, e *wire.FollowEvent) {
	for _, to := range r.follows[j] {
		to.sendEvent(e)
	}
}

// removeFollower ends the following of a job.
func (r *results) removeFollower(j *queue.Job, to eventReceiver) {
	all := slices.DeleteFunc(r.follows[j], func(other eventReceiver) bool { return other == to })
	if r.follows[j] = all; len(all) == 0 {
		delete(r.follows, j)
	}
}

// maxEvents is the size of the events, in bytes, above which a programFollower has
// no room for more.
const maxEvents = 1 << 20

// eventOverhead is about the size of an event without data, in bytes.
const eventOverhead = 64

// programFollower keeps the events of a job until [Server.Follow] has passed them
// on. Server.mu guards it.
type programFollower struct {
	events  []wire.FollowEvent
	size    int           // of events, in bytes
	arrived chan struct{} // has a value if there are events
	waiting []func()      // of whenRoom
	ended   bool
}

func newProgramFollower() *programFollower {
	return &programFollower{arrived: make(chan struct{}, 1)}
}

func (f *programFollower) sendEvent(e *wire.FollowEvent) {
	kept := *e
	kept.Data = bytes.Clone(e.Data)
	f.events = append(f.events, kept)
	f.size += eventOverhead + len(kept.Data)
	select {
	case f.arrived <- struct{}{}:
	default:
	}
}

func (f *programFollower) isCrowded() bool { return f.size > maxEvents && !f.ended }

func (f *programFollower) whenRoom(do func()) {
	if !f.isCrowded() {
		do()
		return
	}
	f.waiting = append(f.waiting, do)
}

// takeEvents returns the events that have arrived, and makes room for others.
func (f *programFollower) takeEvents() []wire.FollowEvent {
	events := f.events
	f.events, f.size = nil, 0
	for _, do := range f.waiting {
		do()
	}
	f.waiting = nil
	return events
}

// endFollowing gives up the events that are left.
func (f *programFollower) endFollowing() {
	f.ended = true
	f.takeEvents()
}
