package queue

import (
	"fmt"
	"slices"
	"strings"

	"gm/pkg/store"
)

// counter returns a source of numbers that are the same in each run.
func counter() func() uint64 {
	var n uint64
	return func() uint64 {
		n = n*6364136223846793005 + 1442695040888963407
		return n >> 7
	}
}

// DeadRetained, DeadDropped and Withholding make the rig a DeadLetterSink.

func (r *rig) DeadRetained(d *DeadLetter, j *Job) {
	if j.state == Ended || d.Record.Seq != j.seq {
		r.fail("job %d, %v, is retained as %d", j.seq, j.state, d.Record.Seq)
	}
	r.happened("%d retained", d.Record.Seq)
	r.retained = append(r.retained, d)
}

func (r *rig) DeadDropped(d *DeadLetter) { r.happened("%d dropped", d.Record.Seq) }

func (r *rig) happened(format string, args ...any) {
	event := fmt.Sprintf(format, args...)
	r.note(event)
	r.events = append(r.events, event)
}

func (r *rig) Withholding(on bool) {
	r.happened("withholding %v", on)
	if on {
		r.begun++
	}
}

// meetDead maps the model's new dead letters to the queue's.
func (r *rig) meetDead() {
	for _, d := range r.model.dead {
		if r.realDead[d] != nil {
			continue
		}
		at := slices.IndexFunc(r.retained, func(b *DeadLetter) bool { return b.Record.Seq == d.seq })
		if at < 0 {
			r.fail("%d was not retained", d.seq)
		}
		r.realDead[d] = r.retained[at]
	}
}

func (m *model) hasDead(fn string) bool {
	return slices.ContainsFunc(m.dead, func(d *modelDead) bool { return d.fn == fn })
}

// taken reports whether a job, dead or not, has that number.
func (m *model) taken(seq uint64) bool {
	return slices.ContainsFunc(m.jobs, func(j *modelJob) bool { return j.seq == seq }) ||
		slices.ContainsFunc(m.dead, func(d *modelDead) bool { return d.seq == seq })
}

func (r *rig) policy() {
	fn := r.function()
	f := r.model.get(fn)
	f.policy = nil
	if r.n(4) > 0 {
		f.policy = &Policy{Retries: r.n(4) - 1, Min: int64(r.n(3) * 10)}
		f.policy.Max = f.policy.Min + int64(r.n(4)*25)
	}
	r.q.SetPolicy([]byte(fn), f.policy)
}

func (r *rig) comment() {
	j := r.any()
	if j == nil {
		return
	}
	text := []string{"", "oops", strings.Repeat("long", 300)}[r.n(3)]
	if j.state == Running && text != "" {
		j.note, j.noteAt = text[:min(len(text), maxNote)], j.attempts()
	}
	r.q.Note(r.real[j], []byte(text))
}

// anyDead returns some dead letter, sometimes a former one, or nil if there is
// none.
func (r *rig) anyDead() *modelDead {
	if len(r.realDead) == 0 {
		return nil
	}
	all := slices.Clone(r.model.dead)
	if len(all) == 0 || r.n(5) == 0 {
		for d := range r.realDead {
			all = append(all, d)
		}
		slices.SortFunc(all, func(a, b *modelDead) int { return int(a.died-b.died)<<20 + int(a.seq) - int(b.seq) })
	}
	return all[r.n(len(all))]
}

func (r *rig) retryDead() {
	d := r.anyDead()
	if d == nil {
		return
	}
	hold := r.n(2) == 0
	want, j := r.model.retryDead(d, hold)
	got, err := r.q.RetryDeadLetter(r.model.now, r.realDead[d], hold)
	text := ""
	switch {
	case err != nil:
		text = err.Error()
	case got.Promoted:
		text = fmt.Sprintf("%d promoted", got.Job.Seq())
	case got.Fresh:
		text = fmt.Sprintf("%d fresh", got.Job.Seq())
		r.real[j] = got.Job
	default:
		text = fmt.Sprintf("%d joined", got.Job.Seq())
	}
	r.note(text)
	if text != want {
		r.fail("RetryDeadLetter(%d): %s, want %s", d.seq, text, want)
	}
}

func (r *rig) dropDead(d *modelDead) {
	if d == nil {
		return
	}
	r.model.dropDead(d)
	r.q.DropDeadLetter(r.realDead[d])
}

func (r *rig) releaseDead() {
	d := r.anyDead()
	if d == nil {
		return
	}
	r.model.releaseDead(d)
	r.q.ReleaseDeadLetter(r.realDead[d])
}

func (r *rig) restoreDead() {
	d := &modelDead{
		seq: r.model.seq + 1 + uint64(r.n(20)), fn: r.function(), unique: []string{"", "u", "-"}[r.n(3)],
		payload: []string{"", "restored"}[r.n(2)], priority: rank(r.n(priorities + 1)), accepted: r.model.wall - 100,
		died: r.model.wall - int64(r.n(80)), reason: Failed, error: "then", stored: true,
	}
	if r.n(4) == 0 && len(r.model.jobs) > 0 {
		d.seq = r.model.jobs[0].seq
	}
	real := &DeadLetter{
		Record: store.Record{
			Seq: d.seq, Function: d.fn, Unique: d.unique, Payload: []byte(d.payload), Priority: uint8(d.priority), Accepted: d.accepted,
		},
		Reason: d.reason, Error: d.error, Died: d.died,
	}
	if r.n(3) == 0 && d.payload != "" {
		d.spilled = true
		real.Record.Payload, real.Spilled, real.Size = nil, true, len(d.payload)
	}
	bad := d.priority > rankLow || r.model.taken(d.seq)
	if !bad {
		r.model.seq = max(r.model.seq, d.seq)
		r.model.get(d.fn)
		r.model.insertDead(d)
		r.model.spillDeadIfNeeded(d)
		r.model.dropExcessDead(d.fn)
		r.realDead[d] = real
	}
	if err := r.q.RestoreDeadLetter(r.model.now, real); bad != (err != nil) {
		r.fail("RestoreDeadLetter(%d): %v", d.seq, err)
	}
}

func (r *rig) loaded() {
	j := r.any()
	for _, o := range r.model.jobs {
		if o.spilled && r.n(2) > 0 {
			j = o
			break
		}
	}
	if j == nil {
		return
	}
	payload := j.payload
	if r.n(6) == 0 {
		payload = []string{"", "x", "another one"}[r.n(3)] // the store is no good
	}
	r.model.loaded(j, payload)
	r.q.Loaded(r.real[j], []byte(payload))
}

func (r *rig) wanted() {
	most := r.n(4)
	want := r.model.wanted(most)
	var got []uint64
	r.q.Wanted(most, func(j *Job) bool {
		got = append(got, j.seq)
		return true
	})
	if !slices.Equal(got, want) {
		r.fail("Wanted(%d): %v, want %v", most, got, want)
	}
}

func (r *rig) setLoading(on bool) {
	r.model.setLoading(on)
	if on {
		r.q.SetLoading(r.model.now)
		return
	}
	for most := r.n(3); r.q.EndLoading(r.model.now, most); {
		most = 1 + r.n(3)
	}
}

func (r *rig) checkDead() {
	q, m := r.q, r.model
	show := func(seq uint64, fn, unique, payload, reducer string, priority rank, rest ...any) string {
		return fmt.Sprintln(seq, fn, unique, payload, reducer, priority, rest)
	}
	var got, want []string
	q.DeadLetters("", func(d *DeadLetter) bool {
		if q.LookupDeadLetter([]byte(d.Handle())) != d {
			r.fail("LookupDeadLetter(%s) finds another one", d.Handle())
		}
		got = append(got, show(d.Record.Seq, d.function.name, d.Record.Unique, string(d.Record.Payload), d.Record.Reducer,
			rank(d.Record.Priority), d.Record.Accepted, d.Started, d.Died, d.Attempts(), d.Reason, d.Error, d.Spilled, d.Size, d.stored))
		return true
	})
	for _, d := range m.dead {
		payload := d.payload
		if d.spilled {
			payload = ""
		}
		want = append(want, show(d.seq, d.fn, d.unique, payload, d.reducer, d.priority,
			d.accepted, d.started, d.died, d.attempts, d.reason, d.error, d.spilled, len(d.payload), d.stored))
	}
	if !slices.Equal(got, want) || len(q.deadBySeq) != len(want) || q.dead.n != len(want) {
		r.fail("dead are\n%v\nwant\n%v", got, want)
	}
	for _, f := range m.funcs {
		var seqs []uint64
		for d := q.functions.byName[f.name].dead.tail; d != nil; d = d.links[ofFunction].prev {
			seqs = append(seqs, d.Record.Seq)
		}
		slices.Reverse(seqs)
		of := m.deadOf[f.name]
		if !slices.EqualFunc(seqs, of, func(seq uint64, d *modelDead) bool { return seq == d.seq }) {
			r.fail("%s: dead are %v, want %d of them", f.name, seqs, len(of))
		}
	}
}

func (m *model) numRunning() (n int) {
	for _, j := range m.jobs {
		if j.state == Running {
			n++
		}
	}
	return n
}

func (r *rig) checkMemory() {
	m := r.model
	want := Totals{Jobs: len(m.jobs), Running: m.numRunning(), Dead: len(m.dead), Spilled: m.numSpilled(), Bytes: int64(m.bytes())}
	if got, want := r.q.memory.unstored, int64(m.unstoredBytes()); got != want || r.q.Withholding() != m.withholding {
		r.fail("%d unstored bytes and withholding is %v, want %d and %v", got, r.q.Withholding(), want, m.withholding)
	}
	if got := r.q.Totals(); got != want || r.q.memory.dead != int64(m.deadBytes()) {
		r.fail("totals are %+v and %d of the dead, want %+v and %d", got, r.q.memory.dead, want, m.deadBytes())
	}
	notes, held := 0, 0
	for _, j := range m.jobs {
		if j.note != "" {
			notes++
		}
		if j.was != nil {
			held++
		}
	}
	if len(r.q.notes) != notes || len(r.q.retrying) != held {
		r.fail("%d notes and %d retries of dead letters, want %d and %d", len(r.q.notes), len(r.q.retrying), notes, held)
	}
	r.q.Functions(func(f *Function) bool {
		n := 0
		for _, j := range m.jobs {
			if j.fn == f.name && j.spilled && j.state == Waiting {
				n++
			}
		}
		if f.spilled != n {
			r.fail("%s: %d waiting jobs are spilled, want %d", f.name, f.spilled, n)
		}
		return true
	})
}
