package gearman

import (
	"bytes"
	"errors"

	"gm/pkg/wire"
)

// maxResends is the maximum number of times that the end of a job is sent again.
const maxResends = 3

// ending is the end of a job that its server has not confirmed. Gearman has no answer
// to WORK_COMPLETE, but a server handles the packets of a connection in their order,
// so that its answer to the next GRAB_JOB confirms the packets before. If the
// connection is lost before that, the end is sent again on the next one. gm's server
// accepts it if it has queued the job again, so that the job is not done twice. Every
// other server answers JOB_NOT_FOUND.
//
// The slot's goroutine owns it.
type ending struct {
	link  *link
	conn  *workerConn // the connection on which it was sent last
	job   *Job
	data  []byte
	err   error
	owned bool // data is a copy
	sent  int  // number of times that it was sent again
}

// keepEnding keeps the end of a job until the server confirms it. It does not keep an
// end that must not be sent again: the failure of a handler whose connection was
// lost, and a result of which parts were already sent, because the server drops these
// when the connection ends.
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

// confirm drops the end that was sent on c, after an answer on c.
func (s *slot) confirm(c *workerConn) {
	if s.unconfirmed != nil && s.unconfirmed.conn == c {
		s.ending, s.unconfirmed = ending{}, nil
	}
}

// ownEnding copies an unconfirmed result before the next handler runs, which may use
// the same memory.
func (s *slot) ownEnding() {
	if u := s.unconfirmed; u != nil && !u.owned {
		u.data, u.owned = bytes.Clone(u.data), true
	}
}

// resend sends the end again if its connection was lost and there is a new one.
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
// exception because some servers wait for it.
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

// isDead reports whether the connection is no longer used.
func (c *workerConn) isDead() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}
