package server

import (
	"gm/pkg/queue"
	"gm/pkg/wire"
)

// payloadWord is the second argument of the job command that asks for the payload.
const payloadWord = "payload"

// adminJob answers with one job, and with its payload if it is asked for that.
func (c *conn) adminJob(now int64, args [][]byte) []byte {
	withPayload := len(args) == 2
	if withPayload && string(args[1]) != payloadWord {
		return missingArgs(args[1])
	}
	q := c.s.q
	if j := q.Lookup(args[0]); j != nil {
		row := jobRow(now, q.Wall(), j)
		row.Handle, row.Unique, row.Reducer = j.Handle(), string(j.Unique()), string(j.Reducer())
		if withPayload {
			return c.answerPayload(row, j)
		}
		return oneRow(row)
	}
	d := q.LookupDead(args[0])
	switch {
	case d == nil:
		return c.s.unknownJob()
	case withPayload:
		return c.answerDeadPayload(d)
	}
	return oneRow(deadRow(q.Wall(), d))
}

// oneRow answers with a row.
func oneRow(row wire.Job) []byte {
	var r rows
	r.add(row)
	return r.end()
}

// payloadReply answers with a row, the payload and a line end.
func payloadReply(row wire.Job, payload []byte) []byte {
	row.Size = len(payload)
	var r rows
	r.add(row)
	r.b = append(r.b, payload...)
	return append(r.b, wire.ReplyEnd...)
}

// answerPayload answers with a job and its payload, which may have to be read from
// the store. The lock is held.
func (c *conn) answerPayload(row wire.Job, j *queue.Job) []byte {
	if !j.Spilled() {
		return payloadReply(row, j.Payload())
	}
	s, slot, r := c.s, c.parked.add(), recordKey(j)
	s.loads.Go(func() {
		payload, err := s.readPayload(&r)
		s.mu.Lock()
		defer s.endTurn(nil)
		c.answerRead(slot, row, payload, err)
	})
	return nil
}

// answerDeadPayload is answerPayload for a dead job.
func (c *conn) answerDeadPayload(d *queue.Dead) []byte {
	s := c.s
	row := deadRow(s.q.Wall(), d)
	if !d.Spilled {
		return payloadReply(row, d.Record.Payload)
	}
	slot := c.parked.add()
	s.commit.then(func(int64, error) { // it may be on its way to the store yet
		s.loads.Go(func() {
			payload, err := s.readDead(d)
			s.mu.Lock()
			defer s.endTurn(nil)
			c.answerRead(slot, row, payload, err)
		})
	})
	return nil
}

// answerRead answers with a payload from the store, or says that there is none any
// more. The lock is held.
func (c *conn) answerRead(slot uint64, row wire.Job, payload []byte, err error) {
	switch {
	case err == nil:
		c.answerText(slot, payloadReply(row, payload))
	case isLost(err) && c.s.q.Lookup([]byte(row.Handle)) == nil && c.s.q.LookupDead([]byte(row.Handle)) == nil:
		c.answerText(slot, []byte(wire.ReplyUnknownJob)) // it has ended meanwhile
	default:
		c.answerText(slot, []byte("ERR NOT_STORED the payload cannot be read: "+oneLine(err)+"\r\n"))
	}
}
