package server

import (
	"fmt"
	"log/slog"
	"time"

	"gm/pkg/queue"
	"gm/pkg/store"
)

// hangGrace is how long a store may take to notice that its time is over.
const hangGrace = 500 * time.Millisecond

// hung is called when the store has neither taken a batch in time nor given it
// up: a disk that does not answer can't be told to. All submissions are refused
// until the store answers. Jobs of the batch that it keeps nevertheless are
// taken out again then.
func (m *committer) hung() {
	m.s.mu.Lock()
	defer m.s.endTurn(nil)
	b := m.flying
	if b == nil || m.stuck != nil {
		return // it has just answered
	}
	now := m.s.readTime()
	m.stuck = fmt.Errorf("store %s has not answered for %v", m.s.cfg.StoreName, m.s.cfg.StoreTimeout)
	m.noteChange(now, b.ops, m.stuck)
	m.late = b.adds
	m.refuse(now, b, m.stuck)
	m.refusePending(now, m.stuck)
}

// refuse answers all who wait for a batch with err, and forgets its jobs. The
// lock is held.
func (m *committer) refuse(now int64, b *batch, err error) {
	f := &failures{store: err, jobs: make(map[*queue.Job]error)}
	for _, j := range b.adds {
		f.jobs[j] = err
	}
	m.tellAll(now, b, f)
	b.waiting, b.adds, b.riders, b.after = nil, nil, nil, nil
	b.first, b.last = 0, 0
}

// refusePending refuses all batches that gather. Their other operations are
// kept. The lock is held.
func (m *committer) refusePending(now int64, err error) {
	for len(m.full) > 0 || !m.next.empty() {
		pending := append(m.full, m.next)
		m.full, m.next = nil, &batch{n: m.next.n + 1}
		for _, b := range pending {
			m.rest = append(m.rest, withoutAdds(b.ops)...)
			m.deaths = append(m.deaths, b.deaths...)
			b.ops, b.deaths = nil, nil
			m.refuse(now, b, err)
		}
	}
}

// answersAgain ends the refusing. If the store has taken the batch, its jobs,
// which were refused, are taken out before anything else is stored. The lock is
// held.
func (m *committer) answersAgain(err error) {
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
		m.rest = append(undo, m.rest...)
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
