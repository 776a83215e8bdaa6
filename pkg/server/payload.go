package server

import (
	"fmt"

	"gm/pkg/wire"
)

// payloadWord is the second argument of the job command that asks for the payload.
const payloadWord = "payload"

// readJob calls done with a job and its payload, at once unless the payload has to
// be read from the store. The size in the row is that of the payload. The lock is
// held both times; done must not change the payload.
func (s *Server) readJob(now int64, handle []byte, done func(row wire.Job, payload []byte, err error)) {
	row, j, d, err := s.findJob(now, handle)
	switch {
	case err != nil:
		done(row, nil, err)
	case j != nil && !j.Spilled():
		payloadRead(row, j.Payload(), done)
	case j != nil:
		r := recordKey(j)
		s.loads.Go(func() {
			payload, err := s.readPayload(&r)
			s.endReadJob(row, payload, err, done)
		})
	case !d.Spilled:
		payloadRead(row, d.Record.Payload, done)
	default:
		s.commit.whenSettled(func(int64, error) { // it may be on its way to the store yet
			s.loads.Go(func() {
				payload, err := s.readDead(d)
				s.endReadJob(row, payload, err, done)
			})
		})
	}
}

// payloadRead calls done with the row of a job and its payload.
func payloadRead(row wire.Job, payload []byte, done func(row wire.Job, payload []byte, err error)) {
	row.Size = len(payload)
	done(row, payload, nil)
}

// endReadJob calls done with a payload from the store. A job whose payload is lost
// may have ended since.
func (s *Server) endReadJob(row wire.Job, payload []byte, err error, done func(row wire.Job, payload []byte, err error)) {
	s.mu.Lock()
	defer s.endTurn(nil)
	handle := []byte(row.Handle)
	switch {
	case err == nil:
		payloadRead(row, payload, done)
	case isLost(err) && s.q.Lookup(handle) == nil && s.q.LookupDeadLetter(handle) == nil:
		done(row, nil, ErrUnknownJob)
	default:
		done(row, nil, notStoredError{fmt.Errorf("the payload cannot be read: %w", err)})
	}
}
