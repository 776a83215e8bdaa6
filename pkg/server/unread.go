package server

import (
	"fmt"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// unread has the requests that cannot be answered before the store is read: submissions
// with a unique that a job of the store may have, questions about a job that may be in
// the store, and lists of all jobs. A connection with such a request is not read, which
// bounds their number. Server.mu guards it.
type unread struct {
	err     error               // the reason why requests are refused instead; nil if they wait
	uniques map[string][]func() // by function and unique
	handles map[uint64][]func()
	others  []func()
}

// endJob ends the wait for a job that has been restored.
func (u *unread) endJob(r *store.Record) {
	if waits := u.handles[r.Seq]; waits != nil {
		endWaits(waits)
		delete(u.handles, r.Seq)
	}
	if len(u.uniques) == 0 || r.Unique == "" {
		return
	}
	key := uniqueKey(r.Function, r.Unique)
	endWaits(u.uniques[key])
	delete(u.uniques, key)
}

// endAll ends all waits: all jobs are known, or the requests are refused.
func (u *unread) endAll() {
	for _, waits := range u.uniques {
		endWaits(waits)
	}
	for _, waits := range u.handles {
		endWaits(waits)
	}
	endWaits(u.others)
	u.uniques, u.handles, u.others = nil, nil, nil
}

func endWaits(waits []func()) {
	for _, end := range waits {
		end()
	}
}

func uniqueKey(function, unique string) string { return function + "\x00" + unique }

// awaitUnique makes a submission wait if the job that it would join may not be read yet,
// or refuses it. It reports whether it did one of the two. A packet that waits is applied
// again later. The lock is held.
func (c *conn) awaitUnique(sub *queue.Submission) bool {
	s := c.s
	if !s.loading || len(sub.Unique) == 0 || string(sub.Unique) == "-" && len(sub.Payload) == 0 || s.q.Joins(sub) {
		return false
	}
	if c.refuseUnread() {
		return true
	}
	if s.unread.uniques == nil {
		s.unread.uniques = make(map[string][]func())
	}
	key := uniqueKey(string(sub.Function), string(sub.Unique))
	s.unread.uniques[key] = append(s.unread.uniques[key], c.holdConn())
	c.blocked = true
	return true
}

// awaitHandle is awaitUnique for a request about one job.
func (c *conn) awaitHandle(handle []byte) bool {
	s := c.s
	if !s.loading || s.q.Lookup(handle) != nil || s.q.LookupDeadLetter(handle) != nil {
		return false
	}
	seq, ok := s.q.Number(handle)
	if !ok || s.isTaken(seq) {
		return false
	}
	if c.refuseUnread() {
		return true
	}
	if s.unread.handles == nil {
		s.unread.handles = make(map[uint64][]func())
	}
	s.unread.handles[seq] = append(s.unread.handles[seq], c.holdConn())
	c.blocked = true
	return true
}

// awaitAll is awaitUnique for a request that depends on all jobs.
func (c *conn) awaitAll() bool {
	if !c.s.loading {
		return false
	}
	if !c.refuseUnread() {
		c.s.unread.others = append(c.s.unread.others, c.holdConn())
		c.blocked = true
	}
	return true
}

// refuseUnread answers with ERROR if the store cannot be read, and reports whether it did.
func (c *conn) refuseUnread() bool {
	err := c.s.unread.err
	if err != nil {
		c.reply().sendError(wire.CodeQueueError, fmt.Sprintf("the store's jobs are still being read: %v", err))
	}
	return err != nil
}

// awaitList makes a command that lists all jobs or functions wait until they are read,
// because the client would take a part for the whole list. It reports whether the
// command waits or was refused. The lock is held.
func (c *conn) awaitList(cmd *command, args [][]byte) bool {
	s := c.s
	if !s.loading {
		return false
	}
	if s.unread.err != nil {
		c.reply().sendText(okOrErr(ErrLoading))
		return true
	}
	kept := make([][]byte, len(args))
	for i, arg := range args {
		kept[i] = append([]byte(nil), arg...)
	}
	release := c.holdConn()
	s.unread.others = append(s.unread.others, func() {
		defer release()
		switch {
		case c.IsDropped():
		case s.loading:
			c.reply().sendText(okOrErr(ErrLoading))
		default:
			if reply := cmd.run(c, s.q.Now(), kept); reply != nil {
				c.reply().sendText(reply)
			}
		}
	})
	return true
}
