package server

import (
	"bytes"
	"crypto/sha256"
	"log/slog"

	"gm/pkg/queue"
	"gm/pkg/wire"
)

// onceKey identifies the function and the unique of a background job, as the first bytes
// of a SHA-256. It is kept with the outcome of the job, so that a later submission can
// be recognized, also by the next server. The zero value means that nothing can be
// recognized by it.
type onceKey [16]byte

// newOnceKey returns the key of a submission or a job. As in the queue, the unique "-"
// stands for the payload, and an empty unique for nothing.
func newOnceKey(function string, unique, payload []byte) onceKey {
	kind := byte('u')
	switch {
	case len(unique) == 0, string(unique) == "-" && len(payload) == 0:
		return onceKey{}
	case string(unique) == "-":
		digest := sha256.Sum256(payload)
		kind, unique = 'p', digest[:]
	}
	var buf [256]byte
	text := append(append(append(buf[:0], kind), function...), 0) // a function has no NUL
	digest := sha256.Sum256(append(text, unique...))
	return onceKey(digest[:len(onceKey{})])
}

// onceKeyOf returns the key under which the outcome of a background job is found. A job
// that was cancelled and has not completed has none: it was not done.
func onceKeyOf(j *queue.Job, state wire.OutcomeState) onceKey {
	if state == wire.OutcomeCancelled || j.Ignored() && state != wire.OutcomeCompleted {
		return onceKey{}
	}
	return newOnceKey(j.Function().Name(), j.Unique(), j.Payload())
}

// indexOnce makes a result the one that is found by its key.
func (r *results) indexOnce(one *result) {
	if one.once != (onceKey{}) {
		r.byOnce[one.once] = one
	}
}

// unindexOnce ends that.
func (r *results) unindexOnce(one *result) {
	if one.once != (onceKey{}) && r.byOnce[one.once] == one {
		delete(r.byOnce, one.once)
	}
}

// endedLately returns the kept result of the latest job with the function and unique of
// a submission, or nil.
func (r *results) endedLately(sub *queue.Submission) *result {
	key := newOnceKey(string(sub.Function), sub.Unique, sub.Payload)
	if key == (onceKey{}) {
		return nil
	}
	one := r.byOnce[key]
	if one == nil || r.isExpired(one, r.s.q.Wall()) {
		return nil
	}
	return one
}

// answerEnded answers a background submission with the handle of a job that has ended
// lately, if it would repeat that job. It reports whether it did. A job that waits or
// runs comes first: the submission joins it. The lock is held.
func (c *conn) answerEnded(sub *queue.Submission) bool {
	s := c.s
	if !bytes.HasPrefix(sub.Unique, []byte(*c.once)) {
		return false
	}
	one := s.results.endedLately(sub)
	if one == nil || s.q.Joins(sub) {
		return false
	}
	s.q.CountCoalesced(sub.Function)
	if s.debug {
		s.logAfterTurn(slog.LevelDebug, "coalesced", slog.String("job", one.Handle), slog.String("function", one.Function),
			slog.String("client", c.addr), slog.String("outcome", string(one.State)))
	}
	c.reply().sendPacket(wire.JobCreated, []byte(one.Handle))
	return true
}
