package server

import (
	"errors"
	"slices"

	"gm/pkg/store"
)

// outage is the state of a failing store in the log: the log has one line when the
// store begins to fail, and one when it works again, but no new ones if it fails
// again soon after.
type outage struct {
	told bool  // the log says that the store fails
	full bool  // it fails for lack of room
	at   int64 // time of the last line about a failure, in milliseconds
}

// outageInterval is the least time between two lines about a failing store, in
// milliseconds. A store with little room may refuse every other batch.
const outageInterval = 30_000

// noteOutage notes the error of a batch, and reports which line should be logged. A full
// store does not count as working before it has taken an operation that needs
// room.
func (o *outage) noteOutage(now int64, ops []store.Op, err error) (fails, works bool) {
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
