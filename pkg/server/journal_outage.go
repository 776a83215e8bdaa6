package server

import (
	"errors"
	"slices"

	"gm/pkg/store"
)

// outage is what the log has of a store that fails: when that began and when
// it was over, unless it began again soon after.
type outage struct {
	told bool  // the store fails, as the log has it
	full bool  // for lack of room
	at   int64 // when that was told last, Unix milliseconds
}

// outageInterval is how often at most the log is told that a store fails, in
// milliseconds. One with little room may refuse every other batch.
const outageInterval = 30_000

// note takes down what became of a batch, and says what the log should be told
// of it. A store that is full is not taken to work again before it has taken
// something that needs room.
func (o *outage) note(now int64, ops []store.Op, err error) (fails, works bool) {
	switch {
	case err != nil && o.told:
		o.full = errors.Is(err, store.ErrFull)
	case err != nil && now-o.at >= outageInterval:
		*o = outage{told: true, full: errors.Is(err, store.ErrFull), at: now}
		return true, false
	case err == nil && o.told && (!o.full || slices.ContainsFunc(ops, needsRoom)):
		o.told = false
		return false, true
	}
	return false, false
}

func needsRoom(op store.Op) bool { return op.Kind == store.Add || op.Kind == store.Put }
