package server

import (
	"fmt"
	"log/slog"
	"time"

	"gm/pkg/store"
)

// hangGrace is how long a store may take to notice that its time is over.
const hangGrace = 500 * time.Millisecond

// hung is called when the store has neither taken a batch in time nor given it
// up: a disk that does not answer can't be told to. Who waits is refused, and
// so is who comes, until the store is back. What it keeps of the batch after
// all is undone then.
func (m *committer) hung() {
	m.s.mu.Lock()
	defer m.s.endTurn(nil)
	if !m.busy {
		return // it has just come back
	}
	now := m.s.readTime()
	m.stuck = fmt.Errorf("store %s has not answered for %v", m.s.cfg.StoreName, m.s.cfg.StoreTimeout)
	m.noteChange(now, &m.flying, m.stuck)
	m.late = m.flying.adds
	m.refuse(now, &m.flying)
	m.refuse(now, &m.next)
	m.next.ops = withoutAdds(m.next.ops)
}

// refuse tells all who wait for a batch that it is not to be.
func (m *committer) refuse(now int64, b *batch) {
	for _, w := range b.waiting {
		w.answer(m.stuck)
	}
	for _, j := range b.adds {
		m.settled(j)
		m.abort(now, j)
	}
	for _, a := range b.after {
		a.f(now, m.stuck)
	}
	b.waiting, b.adds, b.after = nil, nil, nil
}

// back ends the refusing. If the store has taken the batch, what was refused
// of it is undone before anything else comes. The lock is held.
func (m *committer) back(err error) {
	if m.stuck == nil {
		return
	}
	if err == nil && len(m.late) > 0 {
		m.s.note(slog.LevelWarn, "jobs that were refused are taken out of the store",
			slog.String("store", m.s.cfg.StoreName), slog.Int("jobs", len(m.late)))
		var undo []store.Op
		for _, j := range m.late {
			r := recordKey(j)
			undo = append(undo, store.Op{Kind: store.Done, Record: &r})
		}
		m.next.ops = append(undo, m.next.ops...)
	}
	m.stuck, m.late = nil, nil
}

// withoutAdds returns the operations that nobody waits for.
func withoutAdds(ops []store.Op) []store.Op {
	var rest []store.Op
	for _, op := range ops {
		if op.Kind != store.Add {
			rest = append(rest, op)
		}
	}
	return rest
}
