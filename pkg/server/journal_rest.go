package server

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"gm/pkg/store"
)

// Failed batches leave a rest: the operations that are no Adds. A job that has run
// must not come back because the store was away for a while, so the rest is
// stored before all other operations.

const (
	// giveUp is how often an operation that fails alone, while the store takes
	// others, is tried before it is left out.
	giveUp = 5
	// roomPatience is how long results wait for room in a full store before they
	// are replaced by notes without their bytes.
	roomPatience = 5 * time.Second
	// tidyFrom is the length from which the rest is searched for operations that
	// later ones replace.
	tidyFrom = 8192
)

// keepRest keeps the operations of a failed batch that are no Adds. The lock is
// held.
func (j *journal[C]) keepRest(b *batch[C], errs []error) {
	var kept []store.Op
	for i := range b.ops {
		if op := b.ops[i]; errs[i] != nil && op.Kind != store.Add && j.mayKeep(&op, errs[i]) {
			kept = append(kept, op)
		}
	}
	j.logRoomless()
	if j.rest = append(kept, j.rest...); len(j.rest) > j.tidyFrom {
		j.rest = tidy(j.rest)
		j.tidyFrom = max(tidyFrom, 2*len(j.rest))
	}
	j.lasting = append(b.lasting, j.lasting...)
}

// mayKeep reports whether an operation that was not stored for the reason err is
// tried again. One that the store refuses even alone is left out, at once or
// after some tries; an extra is shortened first. The lock is held.
func (j *journal[C]) mayKeep(op *store.Op, err error) bool {
	var refused *store.RefusedError
	switch {
	case errors.As(err, &refused):
		if j.owner.shorten(op) {
			j.logShortened(op, err)
			return true
		}
	case errors.Is(err, store.ErrFull) && j.isRoomless() && j.owner.isResult(op):
		if j.owner.shorten(op) {
			j.shortened++
		}
		return true
	case j.failing != nil:
		return true
	default:
		name := opName(op)
		if j.tries[name]++; j.tries[name] < giveUp {
			return true
		}
		delete(j.tries, name)
		if j.owner.shorten(op) {
			j.logShortened(op, err)
			return true
		}
	}
	j.logLeftOut(op, err)
	return false
}

// isRoomless reports whether a full store has had no room for any result for
// roomPatience.
func (j *journal[C]) isRoomless() bool {
	return !j.roomlessSince.IsZero() && time.Since(j.roomlessSince) >= roomPatience
}

// restIsApart reports whether the rest is stored in batches of its own: it is too
// large to be stored with others, or the store may never take one of its
// operations. The lock is held.
func (j *journal[C]) restIsApart() bool {
	return len(j.rest) > 0 && (len(j.tries) > 0 || countThatFit(j.rest) < len(j.rest))
}

// withoutAdds returns the operations that are no Adds.
func withoutAdds(ops []store.Op) []store.Op {
	var rest []store.Op
	for _, op := range ops {
		if op.Kind != store.Add {
			rest = append(rest, op)
		}
	}
	return rest
}

// withoutOvertaken returns rest without the operations that are replaced by those
// of a batch, which is stored before.
func withoutOvertaken(rest, ops []store.Op) []store.Op {
	keys, jobs := make(map[string]bool), make(map[uint64]bool)
	for i := range ops {
		if r := ops[i].Record; r != nil {
			jobs[r.Seq] = true
		} else {
			keys[ops[i].Key] = true
		}
	}
	return slices.DeleteFunc(rest, func(op store.Op) bool {
		if op.Record != nil {
			return jobs[op.Record.Seq]
		}
		return keys[op.Key]
	})
}

// tidy removes the operations that later ones replace, so that the rest does not
// outgrow the data of the server while the store is away for long.
func tidy(ops []store.Op) []store.Op {
	keys := make(map[string]struct{})
	jobs := make(map[uint64]struct{}) // updated or done later on
	kept := len(ops)
	for i, op := range slices.Backward(ops) {
		overtaken := false
		switch op.Kind {
		case store.Put, store.Delete:
			_, overtaken = keys[op.Key]
			keys[op.Key] = struct{}{}
		case store.Update:
			_, overtaken = jobs[op.Record.Seq]
			fallthrough
		case store.Done:
			jobs[op.Record.Seq] = struct{}{}
		}
		if !overtaken {
			kept--
			ops[kept] = ops[i]
		}
	}
	clear(ops[:kept])
	return ops[kept:]
}

// logRoomless logs how many results were replaced by notes for lack of room. The
// lock is held.
func (j *journal[C]) logRoomless() {
	if j.shortened == 0 {
		return
	}
	j.owner.logAfterTurn(slog.LevelWarn, "results are stored without their bytes, for lack of room",
		slog.String("store", j.name), slog.Int("results", j.shortened))
	j.shortened = 0
}

// logLeftOut logs an operation that the store never takes. The lock is held.
func (j *journal[C]) logLeftOut(op *store.Op, err error) {
	j.owner.logAfterTurn(slog.LevelError, "left out of the store", j.opAttrs(op, err)...)
}

func (j *journal[C]) logShortened(op *store.Op, err error) {
	j.owner.logAfterTurn(slog.LevelWarn, "stored without its bytes", j.opAttrs(op, err)...)
}

func (j *journal[C]) opAttrs(op *store.Op, err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("store", j.name), slog.String("operation", op.Kind.String())}
	if r := op.Record; r != nil {
		attrs = append(attrs, slog.Uint64("job", r.Seq), slog.String("function", r.Function), slog.Int("size", len(r.Payload)))
	} else {
		attrs = append(attrs, slog.String("key", op.Key), slog.Int("size", len(op.Value)))
	}
	return append(attrs, slog.Any("err", err))
}
