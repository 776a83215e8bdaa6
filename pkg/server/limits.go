package server

import (
	"fmt"
	"strings"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// maxNoteError is the most bytes of an error's text in a note.
const maxNoteError = 512

// checkStorable returns an error for a background submission that cannot be stored, and
// the code of the ERROR: the store does not answer, or can never take the job. Clients
// submit again after QUEUE_ERROR, and not after INVALID_ARGUMENT. The lock is held.
func (m *committer) checkStorable(sub *queue.Submission) (code string, err error) {
	if m.stuck != nil {
		return wire.CodeQueueError, m.stuck
	}
	return wire.CodeInvalidArgument, m.checkSubmission(sub)
}

// checkSubmission returns an error for a job that the store can never take.
// The lock is held.
func (m *committer) checkSubmission(sub *queue.Submission) error {
	for _, part := range []struct {
		name        string
		size, limit int
	}{
		{"payload", len(sub.Payload), m.caps.MaxPayload},
		{"function", len(sub.Function), m.caps.MaxName},
		{"unique", len(sub.Unique), m.caps.MaxName},
		{"reducer", len(sub.Reducer), m.caps.MaxName},
	} {
		if part.limit > 0 && part.size > part.limit {
			return fmt.Errorf("%s of %d bytes exceeds the limit of store %s, %d", part.name, part.size, m.name, part.limit)
		}
	}
	return nil
}

// shortenExtra replaces the value of a dead job or a result by a note with
// everything except the bytes of the payload or of the result. It returns false
// if the value is such a note already, or another extra.
func shortenExtra(op *store.Op) bool {
	if op.Kind != store.Put {
		return false
	}
	var short []byte
	switch {
	case strings.HasPrefix(op.Key, deadKey):
		d, err := decodeDead(op.Key, op.Value)
		if err != nil {
			return false
		}
		d.Record.Payload, d.Error = nil, cutText(d.Error, maxNoteError)
		short = encodeDead(d)
	case strings.HasPrefix(op.Key, resultKey):
		one, err := decodeResult(op.Key, op.Value)
		if err != nil {
			return false
		}
		one.data, one.Kept, one.Error = nil, one.Size == 0, cutText(one.Error, maxNoteError)
		short = one.encode()
	}
	if len(short) == 0 || len(short) >= len(op.Value) {
		return false
	}
	op.Value = short
	return true
}

// cutText returns the first n bytes of a text, at most.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
