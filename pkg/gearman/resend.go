package gearman

import (
	"bytes"
	"errors"

	"gm/pkg/wire"
)

// maxResends is how many connections the end of a job may be sent on after the
// first one.
const maxResends = 3

// ending is the end of a job that its server has not confirmed. Gearman has no
// answer to WORK_COMPLETE, but a server handles the packets of a connection in
// their order: its answer to the next GRAB_JOB confirms what was sent before. If
// the connection is lost before that, the end is sent again on the next one. A
// server that has the job queued again takes it, so that the job is not done
// twice; every other server answers JOB_NOT_FOUND.
//
// It is of the slot's goroutine.
type ending struct {
	link  *link
	conn  *workerConn // on which it was sent last
	job   *Job
	data  []byte
	err   error
	owned bool // data is a copy
	sent  int  // how often it was sent again
}

// keepEnding keeps the end of a job until the server confirms it. An end that
// must not be sent again is not kept: the failure of a handler whose connection
// was lost, and a result of which parts were sent already, as the server drops
// those together with the connection.
func (s *slot) keepEnding(l *link, c *workerConn, j *Job, data []byte, err error) {
	s.unconfirmed = nil
	c.writing.Lock()
	streamed := j.streamed
	c.writing.Unlock()
	if streamed || errors.Is(err, ErrLost) || err != nil && c.isDead() {
		return
	}
	s.ending = ending{link: l, conn: c, job: j, data: data, err: err}
	s.unconfirmed = &s.ending
}

// confirm forgets an end that was sent on c before the answer that has come.
func (s *slot) confirm(c *workerConn) {
	if s.unconfirmed != nil && s.unconfirmed.conn == c {
		s.ending, s.unconfirmed = ending{}, nil
	}
}

// ownEnding copies a result that is not confirmed yet before the next handler
// runs, which may use the same memory.
func (s *slot) ownEnding() {
	if u := s.unconfirmed; u != nil && !u.owned {
		u.data, u.owned = bytes.Clone(u.data), true
	}
}

// resend sends an end again if its connection was lost and there is a new one.
func (s *slot) resend() {
	u := s.unconfirmed
	if u == nil || !u.conn.isDead() {
		return
	}
	s.mu.Lock()
	c := u.link.conn
	s.mu.Unlock()
	if c == nil {
		return
	}
	if u.sent++; u.sent > maxResends {
		s.ending, s.unconfirmed = ending{}, nil
		return
	}
	u.conn = c
	s.worker.log().Debug("end of job sent again", "handle", string(u.job.handle), "function", u.job.function)
	_ = c.write(func(put putFunc) error { // a failure ends the connection
		s.putEnding(put, []byte(u.job.handle), u.data, u.err)
		return nil
	})
}

// putEnding adds the packets that end a job to a write. WORK_FAIL follows an
// exception for servers that go on waiting for it.
func (s *slot) putEnding(put putFunc, handle, data []byte, err error) {
	if err == nil {
		put(wire.WorkComplete, handle, data)
		return
	}
	var exception *Exception
	var tooLarge *resultSizeError
	limit := s.worker.opts.MaxPayload
	switch {
	case errors.As(err, &exception):
		put(wire.WorkException, handle, lastBytes(exception.Data, limit))
		put(wire.WorkFail, handle)
	case errors.As(err, &tooLarge):
		put(wire.WorkWarning, handle, lastBytes([]byte(tooLarge.Error()+"\n"), limit))
		put(wire.WorkFail, handle)
	default:
		put(wire.WorkFail, handle)
	}
}

// isDead reports whether nobody uses the connection any more.
func (c *workerConn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}
