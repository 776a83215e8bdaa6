package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"gm/pkg/store"
)

// testRandom commits random batches, and sometimes compares the store with the
// expected contents. The seed is fixed, so that a failure can be repeated.
func testRandom(r *fixture) {
	steps := 3000
	if testing.Short() {
		steps = 400
	}
	m := mixer{fixture: r, random: rand.New(rand.NewPCG(2026, 4730))}
	for range steps {
		switch n := m.random.IntN(1000); {
		case n < 990:
			m.commitRandom()
		case n < 993:
			r.close()
			r.open()
			r.compare()
		case n < 996:
			r.check()
		case n < 998:
			if c, ok := r.s.(store.Compacter); ok {
				if err := c.Compact(r.ctx); err != nil {
					r.t.Fatalf("compact: %v", err)
				}
			}
		default:
			if c, ok := r.s.(store.Checker); ok {
				if err := c.Check(r.ctx, func(what string) { r.t.Errorf("check: %s", what) }); err != nil {
					r.t.Fatalf("check: %v", err)
				}
			}
		}
		if r.t.Failed() {
			return
		}
	}
	r.check()
}

// mixer makes random batches.
type mixer struct {
	*fixture
	random *rand.Rand
	waits  []store.Op // the Adds of jobs that are not done
}

// commitRandom commits a random batch. For a while it adds more jobs than it ends,
// and then ends more than it adds.
func (m *mixer) commitRandom() {
	n := 1 + m.random.IntN(4)
	if m.random.IntN(20) == 0 {
		n = m.random.IntN(300)
	}
	growing := m.seq/512%2 == 0
	var batch []store.Op
	for range n {
		what := m.random.IntN(100)
		switch {
		case what < 5:
			batch = append(batch, put(m.randomKey(), payload(m.random.IntN(300))))
		case what < 10:
			batch = append(batch, forget(m.randomKey()))
		case what < 15:
			if len(m.waits) > 0 {
				op := m.waits[m.random.IntN(len(m.waits))]
				batch = append(batch, update(op, m.random.IntN(50), m.random.Int64N(1_000_000)))
			}
		case what < 65 == growing || len(m.waits) == 0:
			batch = append(batch, m.addJob())
		default:
			batch = append(batch, m.endJob())
		}
	}
	m.commit(batch...)
}

func (m *mixer) randomKey() string { return fmt.Sprint("key/", m.random.IntN(40)) }

// addJob returns the Add of a new job whose function and unique no other waiting
// job has.
func (m *mixer) addJob() store.Op {
	unique := awkward[m.random.IntN(len(awkward))]
	if m.random.IntN(3) > 0 {
		unique = ""
	}
	size := m.random.IntN(200)
	if m.random.IntN(50) == 0 {
		size = m.random.IntN(50_000)
	}
	op := m.job(awkward[m.random.IntN(len(awkward))], unique, payload(size))
	for _, w := range m.waits {
		if w.Record.Function == op.Record.Function && w.Record.Unique == unique {
			op.Record.Unique = ""
		}
	}
	op.Record.Priority = uint8(m.random.IntN(3))
	op.Record.RunAt = m.random.Int64N(2_000_000_000_000)
	m.waits = append(m.waits, op)
	return op
}

// endJob returns the Done of a job, mostly one of the oldest.
func (m *mixer) endJob() store.Op {
	i := m.random.IntN(min(len(m.waits), 10))
	if m.random.IntN(5) == 0 {
		i = m.random.IntN(len(m.waits))
	}
	op := m.waits[i]
	m.waits = append(m.waits[:i], m.waits[i+1:]...)
	return done(op)
}
