package server

import (
	"fmt"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// unread has requests wait that can't be answered before the store is read: a
// submission whose unique may be that of a job which is still to come, a
// question for a job that may be one, and lists of all jobs. Their connections
// are held, so it is bounded by the bytes that are read from them. Server.mu guards
// it.
type unread struct {
	err     error               // the reason why waiting is of no use; nil if it is useful
	uniques map[string][]func() // by function and unique
	handles map[uint64][]func()
	others  []func()
}

// endJob releases the requests that wait for a job, which has been restored.
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

// endAll releases all requests: all jobs are known, or waiting is of no use.
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

// awaitUnique reports whether a submission has to wait because the job that it
// would join may not be read yet, or is refused for that reason. If it waits, the
// packet is applied again later. The lock is held.
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
	s.unread.uniques[key] = append(s.unread.uniques[key], c.expect())
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
	s.unread.handles[seq] = append(s.unread.handles[seq], c.expect())
	c.blocked = true
	return true
}

// awaitAll is awaitUnique for a request that depends on all jobs.
func (c *conn) awaitAll() bool {
	if !c.s.loading {
		return false
	}
	if !c.refuseUnread() {
		c.s.unread.others = append(c.s.unread.others, c.expect())
		c.blocked = true
	}
	return true
}

// refuseUnread answers with ERROR if waiting for the store is of no use.
func (c *conn) refuseUnread() bool {
	err := c.s.unread.err
	if err != nil {
		c.reply().sendError(wire.CodeQueueError, fmt.Sprintf("the store's jobs are still being read: %v", err))
	}
	return err != nil
}

// awaitList makes a command that lists all jobs or functions wait until they are
// read: a part must not look like the whole list. It reports whether the command
// waits or is refused. The lock is held.
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
	come := c.expect()
	s.unread.others = append(s.unread.others, func() {
		defer come()
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
