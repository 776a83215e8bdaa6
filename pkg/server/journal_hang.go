package server

import (
	"fmt"
	"log/slog"
	"time"

	"gm/pkg/store"
)

// hangGrace is how long a store may take to notice that its time is over.
const hangGrace = 500 * time.Millisecond

// refuseHung is called when the store has neither taken a batch in time nor given it
// up: a disk that does not answer cannot be interrupted. Until the store answers,
// everything is refused. Adds that the store has taken nevertheless are undone
// then.
func (j *journal[C]) refuseHung() {
	j.mu.Lock()
	defer j.owner.endTurn()
	b := j.flying
	if b == nil || j.stuck != nil {
		return // it has just answered
	}
	now := j.owner.readTime()
	j.stuck = fmt.Errorf("store %s has not answered for %v", j.name, j.limit)
	j.noteChange(now, b.ops, j.stuck)
	j.late = true
	j.refuseBatch(now, b, j.stuck)
	j.refusePending(now, j.stuck)
}

// isStuck reports whether the batch in flight has been refused already.
func (j *journal[C]) isStuck() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stuck != nil
}

// refuseBatch gives the completions of a batch back with an error. The lock is held.
func (j *journal[C]) refuseBatch(now int64, b *batch[C], err error) {
	j.complete(b, &outcome{now: now, store: err, refused: err})
	b.done = nil
	b.first, b.last = 0, 0
}

// refusePending refuses all batches except the one in flight. It keeps their
// operations that are no Adds. The lock is held.
func (j *journal[C]) refusePending(now int64, err error) {
	for len(j.full) > 0 || !j.next.isEmpty() {
		pending := append(j.full, j.next)
		j.full, j.next = nil, &batch[C]{n: j.next.n + 1}
		for _, b := range pending {
			j.rest = append(j.rest, withoutAdds(b.ops)...)
			j.lasting = append(j.lasting, b.lasting...)
			b.ops, b.lasting = nil, nil
			j.refuseBatch(now, b, err)
		}
	}
}

// answersAgain ends the refusing, when the store has answered a batch. If it has
// stored the batch, the Adds, which were refused, are undone before anything else
// is stored. The lock is held.
func (j *journal[C]) answersAgain(b *batch[C], err error) {
	if err == nil && j.late {
		j.undoAdds(b.ops)
	}
	j.stuck, j.late = nil, false
}

// undoAdds puts Dones for the Adds among some operations before the rest. The
// lock is held.
func (j *journal[C]) undoAdds(ops []store.Op) {
	var undo []store.Op
	for i := range ops {
		if r := ops[i].Record; ops[i].Kind == store.Add {
			undo = append(undo, store.Op{Kind: store.Done, Record: &store.Record{Seq: r.Seq, Function: r.Function, Unique: r.Unique}})
		}
	}
	if len(undo) == 0 {
		return
	}
	j.owner.logAfterTurn(slog.LevelWarn, "jobs that were refused are taken out of the store",
		slog.String("store", j.name), slog.Int("jobs", len(undo)))
	j.rest = append(undo, j.rest...)
}
