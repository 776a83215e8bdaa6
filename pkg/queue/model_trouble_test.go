package queue

import (
	"fmt"
	"slices"
)

// The model of failures, dead letters and memory. It computes each sum anew.

type modelDead struct {
	seq                          uint64
	fn, unique, payload, reducer string
	priority                     rank
	accepted, started, died      int64
	attempts                     int
	reason                       Reason
	error                        string
	spilled, stored              bool
}

func (j *modelJob) noteFailure(text string) {
	if j.note == "" || j.noteAt != j.attempts() {
		j.note, j.noteAt = text, j.attempts()
	}
}

func (m *model) final(j *modelJob) bool {
	p := m.get(j.fn).policy
	return p == nil || p.Retries >= 0 && j.failures >= p.Retries || j.cancelled_ || !j.background && len(j.waiters) == 0
}

func (m *model) fail(j *modelJob) (ended bool) {
	if m.final(j) {
		m.failForGood(j)
		return true
	}
	j.noteFailure("failed")
	p := m.get(j.fn).policy
	wait := min(p.Min<<min(j.failures, 20), p.Max)
	if m.rand != nil && wait > 0 {
		wait = wait/2 + int64(m.rand()%uint64(wait-wait/2+1))
	}
	j.failures++
	m.unassignJob(j, Failed)
	j.runAt = m.wall + wait
	m.retryAfter(j, wait)
	m.spillIfNeeded(j)
	return false
}

func (m *model) retryAfter(j *modelJob, wait int64) {
	if wait == 0 {
		m.startNow(j)
		return
	}
	j.state, j.retryAt = Delayed, m.now+wait
}

func (m *model) failForGood(j *modelJob) {
	j.noteFailure("failed")
	j.failures++
	m.endJob(j, Failed)
}

// bytes returns the number of bytes held.
func (m *model) bytes() (n int) {
	for _, j := range m.jobs {
		n += len(j.note)
		if j.state != Running && !j.spilled {
			n += len(j.payload) + len(j.unique) + len(j.reducer)
		}
	}
	return n + m.deadBytes()
}

func (m *model) deadBytes() (n int) {
	for _, d := range m.dead {
		if !d.spilled {
			n += len(d.payload) + len(d.unique) + len(d.reducer) + len(d.error)
		}
	}
	return n
}

func (m *model) numSpilled() (n int) {
	for _, j := range m.jobs {
		if j.spilled {
			n++
		}
	}
	return n
}

// over reports whether more than a part of the bound is held.
func (m *model) over(bytes, quarters int) bool {
	bound := int(m.cfg.Memory)
	return bound > 0 && bytes > bound-bound*(4-quarters)/4
}

// overEighth reports whether more than an eighth of the bound is held.
func (m *model) overEighth(bytes int) bool {
	bound := int(m.cfg.Memory)
	return bound > 0 && bytes > bound/8
}

// spillIfNeeded knows no jobs that wait behind many.
func (m *model) spillIfNeeded(j *modelJob) {
	if j.state != Waiting && j.state != Delayed {
		return
	}
	short := m.over(m.bytes(), 3)
	if short {
		j.note = ""
	}
	if short || j.state == Delayed && m.overEighth(m.bytes()) {
		j.spilled = j.spilled || m.cfg.Spill && j.stored && j.payload != ""
	}
}

func (m *model) loaded(j *modelJob, payload string) {
	if !j.spilled || j.state == Ended {
		return
	}
	if (j.state == Waiting || j.state == Delayed) && (m.withholding || m.tooMuchAhead(len(payload)+len(j.unique)+len(j.reducer))) {
		return
	}
	other := j.payload != payload
	j.payload, j.spilled = payload, false
	if j.unique == "-" && (other || j.indexed == 0) {
		m.index(j)
	}
}

func (m *model) tooMuchAhead(more int) bool {
	bound := int(m.cfg.Memory)
	return bound > 0 && m.bytes()+more > bound-bound/8
}

// wanted lists the jobs that Wanted should show.
func (m *model) wanted(most int) (seqs []uint64) {
	if most == 0 || m.numSpilled() == 0 || m.withholding {
		return nil
	}
	from := slices.IndexFunc(m.funcs, func(f *modelFunction) bool { return f.name == m.next })
	from = max(from, 0)
	more := 0
	for i := range m.funcs {
		f := m.funcs[(from+i)%len(m.funcs)]
		if f.paused || m.workers(f.name) == 0 {
			continue
		}
		for _, l := range f.waiting {
			for _, j := range l[:min(most, len(l))] {
				size := len(j.payload) + len(j.unique) + len(j.reducer)
				if !j.spilled || m.tooMuchAhead(more+size) {
					continue
				}
				more += size
				if seqs = append(seqs, j.seq); len(seqs) == most {
					m.next = m.funcs[(from+i+1)%len(m.funcs)].name
					return seqs
				}
			}
		}
	}
	return seqs
}

func (m *model) retainDead(j *modelJob, why Reason) bool {
	if m.cfg.DeadMax == 0 || why != Failed && why != Exhausted || !j.background || j.cancelled_ {
		return false
	}
	d := &modelDead{
		seq: j.seq, fn: j.fn, unique: j.unique, payload: j.payload, reducer: j.reducer, priority: j.priority,
		accepted: j.accepted, started: j.started + m.wall - m.now, died: m.wall, attempts: j.attempts(), reason: why, error: j.note, spilled: j.spilled,
	}
	m.dead, m.deadOf[d.fn] = append(m.dead, d), append(m.deadOf[d.fn], d)
	m.expect("%d retained", j.seq)
	m.countUnstored()
	return true
}

// unstoredBytes returns the bytes of the dead letters that the journal does not have.
func (m *model) unstoredBytes() (n int) {
	for _, d := range m.dead {
		if !d.spilled && !d.stored {
			n += len(d.payload) + len(d.unique) + len(d.reducer) + len(d.error)
		}
	}
	return n
}

// countUnstored begins or ends the withholding.
func (m *model) countUnstored() {
	on := m.cfg.Spill && m.cfg.Memory > 0 && m.unstoredBytes() > int(m.cfg.Memory)/4
	if on != m.withholding {
		m.withholding = on
		m.expect("withholding %v", on)
	}
}

func (m *model) insertDead(d *modelDead) {
	m.dead, m.deadOf[d.fn] = d.insert(m.dead), d.insert(m.deadOf[d.fn])
	m.countUnstored()
}

// insert puts d behind the last one that did not die later.
func (d *modelDead) insert(l []*modelDead) []*modelDead {
	at := len(l)
	for at > 0 && l[at-1].died > d.died {
		at--
	}
	return slices.Insert(l, at, d)
}

func (m *model) dropExcessDead(fn string) {
	for len(m.deadOf[fn]) > m.cfg.DeadMax {
		m.dropDead(m.deadOf[fn][0])
	}
	for !m.cfg.Spill && m.deadOver() {
		m.dropDead(m.dead[0])
	}
}

// deadOver reports whether dead letters hold more than their quarter.
func (m *model) deadOver() bool { return m.cfg.Memory > 0 && m.deadBytes() > int(m.cfg.Memory)/4 }

func (m *model) dropExpiredDead() {
	for m.cfg.DeadAge > 0 && len(m.dead) > 0 && m.dead[0].died+m.cfg.DeadAge <= m.wall {
		m.dropDead(m.dead[0])
	}
}

func (m *model) removeDead(d *modelDead) {
	is := func(o *modelDead) bool { return o == d }
	m.dead, m.deadOf[d.fn] = slices.DeleteFunc(m.dead, is), slices.DeleteFunc(m.deadOf[d.fn], is)
	m.countUnstored()
}

func (m *model) dropDead(d *modelDead) {
	if slices.Contains(m.dead, d) {
		m.removeDead(d)
		m.expect("%d dropped", d.seq)
	}
}

func (m *model) releaseDead(d *modelDead) {
	d.stored = true
	m.countUnstored()
	if slices.Contains(m.dead, d) {
		m.spillDeadIfNeeded(d)
	}
}

func (m *model) spillDeadIfNeeded(d *modelDead) {
	if m.cfg.Spill && d.stored && d.payload != "" && (m.deadOver() || m.over(m.bytes(), 3)) {
		d.spilled = true
	}
}

// retryDead returns the result of the retry of d, and its job if it does not join
// another one.
func (m *model) retryDead(d *modelDead, hold bool) (string, *modelJob) {
	if !slices.Contains(m.dead, d) {
		return ErrNotDead.Error(), nil
	}
	f := m.get(d.fn)
	payload := d.payload
	if d.spilled {
		payload = ""
	}
	if j := m.same(d.fn, d.unique, payload); j != nil {
		f.counters.coalesced++
		text := j.joinBackground(hold)
		m.dropDead(d)
		return text, nil
	}
	if l := f.limits[d.priority]; l > 0 && m.count(d.fn, Held, Delayed, Waiting, Running) >= l {
		return ErrFull.Error(), nil
	}
	m.removeDead(d)
	j := &modelJob{
		seq: d.seq, fn: d.fn, unique: d.unique, payload: d.payload, reducer: d.reducer, priority: d.priority,
		accepted: d.accepted, background: true, state: Held, spilled: d.spilled,
	}
	m.jobs = append(m.jobs, j)
	if !j.spilled || j.unique != "-" {
		m.index(j)
	}
	if hold {
		j.was = d
	} else {
		f.counters.submitted++
		m.startJob(j)
	}
	return fmt.Sprintf("%d fresh", j.seq), j
}

func (m *model) setLoading(on bool) {
	if m.loading == on {
		return
	}
	m.loading, m.before = on, m.seq
	if on {
		return
	}
	for _, f := range m.funcs {
		for p := range priorities {
			f.waiting[p] = append(f.waiting[p], f.behind[p]...)
			f.behind[p] = nil
		}
	}
}
