package queue

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gm/pkg/store"
)

// The operations of the random test, each on the queue and on the model.

func (r *rig) submit() {
	if len(r.model.jobs) >= r.full {
		return
	}
	client := r.n(rigPeers)
	flavour := r.n(8)
	s := &Submission{
		Function:   []byte(r.function()),
		Unique:     []byte([]string{"", "", "u", "v", "-", strings.Repeat("long", 70)}[r.n(6)]),
		Payload:    []byte([]string{"", "x", "y", "payload"}[r.n(4)]),
		Priority:   rank(r.n(priorities)).priority(),
		Background: flavour&1 > 0,
		Hold:       flavour&3 == 3,
	}
	if !s.Background {
		s.Client = r.peers[client]
	}
	if flavour == 4 {
		s.Reducer = []byte("sum")
	}
	if r.n(4) == 0 {
		s.RunAt = r.model.wall + int64(r.n(100)) - 5
	}
	fn := string(s.Function)
	sleepers := r.model.sleepers(fn)
	want := r.model.submit(s, r.model.peers[client])
	got, err := r.q.Submit(r.model.now, s)
	text := ""
	switch {
	case err != nil:
		text = err.Error()
	case got.Promoted:
		text = fmt.Sprintf("%d promoted", got.Job.Seq())
	case got.Fresh:
		text = fmt.Sprintf("%d fresh", got.Job.Seq())
	default:
		text = fmt.Sprintf("%d joined", got.Job.Seq())
	}
	r.note(fmt.Sprintf("%s: %s %q %q %v background %v hold %v", text, fn, s.Unique, s.Payload, s.Priority, s.Background, s.Hold))
	if text != want {
		r.fail("Submit: %s, want %s", text, want)
	}
	wakes := 0
	if got.Fresh {
		j := r.model.jobs[len(r.model.jobs)-1]
		r.real[j] = got.Job
		if j.state == Waiting && r.model.ready(fn) > 0 && !slices.Contains(r.model.find(fn).behind[j.priority], j) {
			if wakes = sleepers; r.model.cfg.Wakeups > 0 {
				// A worker that was woken and has not asked yet counts.
				more := r.model.ready(fn) + r.model.cfg.Wakeups - 1 - r.q.functions.byName[fn].tokens
				wakes = min(sleepers, max(more, 0))
			}
		}
	}
	if !r.gathers {
		if r.q.Rouse(); r.wakes != wakes {
			r.fail("Submit: %d NOOPs, want %d", r.wakes, wakes)
		}
	}
	for _, b := range [][]byte{s.Function, s.Unique, s.Payload, s.Reducer} {
		copy(b, bytes.Repeat([]byte{'!'}, len(b))) // the queue must have its own
	}
}

func (r *rig) grab(i int) {
	want := r.model.grab(r.model.peers[i])
	got := r.q.Grab(r.model.now, r.peers[i])
	switch {
	case got == nil && want == nil:
	case got == nil:
		r.fail("Grab: none, want %d", want.seq)
	case want == nil:
		r.fail("Grab: %d, want none", got.Seq())
	case got.Seq() != want.seq:
		r.fail("Grab: %d, want %d", got.Seq(), want.seq)
	}
}

func (r *rig) grabAgain(i int) {
	j := r.any()
	if j == nil {
		return
	}
	want := r.model.grabAgain(r.model.peers[i], j)
	if got := r.q.GrabAgain(r.model.now, r.peers[i], r.real[j]); got != want {
		r.fail("GrabAgain(%d): %v, want %v", j.seq, got, want)
	}
}

func (r *rig) sleep(i int) {
	p := r.model.peers[i]
	p.sleep = asleep
	wake := slices.ContainsFunc(p.can, func(a modelAbility) bool { return r.model.ready(a.fn) > 0 })
	r.q.PreSleep(r.model.now, r.peers[i])
	if wake != (p.sleep == woken) {
		r.fail("PreSleep: NOOP at once is %v, want %v", p.sleep == woken, wake)
	}
}

func (r *rig) canDo() {
	i, fn, timeout := r.n(rigPeers), r.function(), int64([]int{0, 0, 0, 30, 60}[r.n(5)])
	r.model.canDo(r.model.peers[i], fn, timeout)
	r.q.CanDo(r.model.now, r.peers[i], []byte(fn), timeout)
}

func (r *rig) cantDo() {
	i, fn := r.n(rigPeers), r.function()
	r.model.cantDo(r.model.peers[i], fn)
	r.q.CantDo(r.peers[i], []byte(fn))
}

func (r *rig) reset(i int) {
	r.model.peers[i].can, r.model.peers[i].nextPosition = nil, 0
	r.q.ResetAbilities(r.peers[i])
}

func (r *rig) removePeer(i int) {
	r.model.removePeer(r.model.peers[i])
	for most := r.n(3); r.q.Remove(r.model.now, r.peers[i], most); {
		most = 1 + r.n(3)
	}
}

func (r *rig) release(j *modelJob) {
	if j == nil {
		return
	}
	r.model.release(j)
	r.q.Release(r.model.now, r.real[j])
}

func (r *rig) abort(j *modelJob) {
	if j == nil {
		return
	}
	r.model.abort(j)
	r.q.Abort(r.model.now, r.real[j])
}

// finish ends a running job; of any other job it changes nothing.
func (r *rig) finish(why Reason) {
	j := r.any()
	for _, o := range r.model.jobs {
		if o.state == Running && r.n(2) > 0 {
			j = o
			break
		}
	}
	if j == nil {
		return
	}
	real, runs := r.real[j], j.state == Running
	switch {
	case why == Completed:
		if runs {
			r.model.endJob(j, why)
		}
		r.q.Complete(r.model.now, real)
	case why == GivenBack:
		if runs {
			r.model.loseJob(j, why)
		}
		r.q.GiveBack(r.model.now, real)
	case why == Exhausted:
		if runs {
			r.model.failForGood(j)
		}
		r.q.FailForGood(r.model.now, real)
	default:
		final := runs && r.q.Final(real)
		want := runs && r.model.fail(j)
		if ended := r.q.Fail(r.model.now, real); ended != want || final != want {
			r.fail("Fail(%d): ended is %v and final %v, want %v", j.seq, ended, final, want)
		}
	}
}

func (r *rig) status() {
	j := r.any()
	if j == nil {
		return
	}
	num, den := int64(r.n(10)), int64(r.n(10))
	if j.state == Running {
		j.num, j.den = num, den
	}
	r.q.SetStatus(r.real[j], num, den)
}

func (r *rig) cancel(j *modelJob) {
	if j == nil {
		return
	}
	want := r.model.cancel(j)
	if got := r.q.Cancel(r.model.now, r.real[j]); got != want {
		r.fail("Cancel(%d): %v, want %v", j.seq, got, want)
	}
}

func (r *rig) tick() {
	passed := int64(r.n(30))
	r.model.now += passed
	r.model.wall += passed
	r.ticked = r.model.now
	r.model.tick()
	r.q.Tick(r.model.now)
	for _, p := range r.peers {
		if p.token != nil && p.wokenAt+r.q.cfg.WakeAfter <= r.model.now {
			r.fail("Tick: the token of %s is too old", p.Owner.(*modelPeer).name)
		}
	}
}

// setWall sets the wall clock, which must affect only dates.
func (r *rig) setWall() {
	r.model.wall = max(r.model.wall+int64(r.n(200))-100, 1000)
	r.q.SetClocks(r.model.now, r.model.wall)
}

func (r *rig) pause() {
	fn, paused := r.function(), r.n(3) == 0
	err := r.q.Pause(r.model.now, []byte(fn), paused)
	if f := r.model.find(fn); f != nil {
		f.paused = paused
	} else if !errors.Is(err, ErrNoFunction) {
		r.fail("Pause(%s): %v", fn, err)
	}
}

func (r *rig) purge(fn string) {
	known, want := r.model.find(fn) != nil, r.model.purge(fn)
	most, last, got := 1+r.n(3), r.q.LastSeq(), 0
	for {
		n, err := r.q.Purge(r.model.now, []byte(fn), last, most)
		if got += n; (err == nil) != known {
			r.fail("Purge(%s): %v", fn, err)
		}
		if n < most {
			break
		}
	}
	if got != want {
		r.fail("Purge(%s): %d, want %d", fn, got, want)
	}
}

func (r *rig) dropFunction(fn string) {
	var want error
	switch {
	case r.model.find(fn) == nil:
		want = ErrNoFunction
	case r.model.workers(fn) > 0 || r.model.hasDead(fn) || r.model.count(fn, Held, Delayed, Waiting, Running) > 0:
		want = ErrInUse
	default:
		if r.model.next == fn {
			at := slices.IndexFunc(r.model.funcs, func(f *modelFunction) bool { return f.name == fn })
			r.model.next = ""
			if at+1 < len(r.model.funcs) {
				r.model.next = r.model.funcs[at+1].name
			}
		}
		r.model.funcs = slices.DeleteFunc(r.model.funcs, func(f *modelFunction) bool { return f.name == fn })
	}
	if err := r.q.Drop([]byte(fn)); !errors.Is(err, want) {
		r.fail("Drop(%s): %v, want %v", fn, err, want)
	}
}

func (r *rig) create() {
	fn := r.function()
	r.model.get(fn)
	r.q.Create([]byte(fn))
}

func (r *rig) limits() {
	fn := r.function()
	limits := [3]int{r.n(8), r.n(8), r.n(8)}
	r.model.get(fn).limits = limits
	r.q.SetLimits([]byte(fn), limits)
}

func (r *rig) restoreJob() {
	if len(r.model.jobs) >= r.full {
		return
	}
	j := &modelJob{
		seq: r.model.seq + 1 + uint64(r.n(100)), fn: r.function(), unique: []string{"", "u", "-"}[r.n(3)],
		payload: []string{"", "restored"}[r.n(2)], priority: rank(r.n(priorities + 1)), background: true,
		accepted: r.model.wall - 50, failures: r.n(2), losses: r.n(2), stored: true,
	}
	if r.n(2) > 0 {
		j.runAt = r.model.wall + int64(r.n(100)) - 50
	}
	if r.n(4) == 0 && len(r.model.jobs) > 0 {
		j.seq = r.model.jobs[0].seq
	}
	if r.model.loading && r.n(3) > 0 {
		j.seq = 1 + uint64(r.n(250))
	}
	bad := j.priority > rankLow || r.model.taken(j.seq)
	record := &store.Record{
		Seq: j.seq, Function: j.fn, Unique: j.unique, Payload: []byte(j.payload), Priority: uint8(j.priority),
		RunAt: j.runAt, Accepted: j.accepted,
	}
	record.SetTried(j.failures, j.losses)
	j.spilled = r.n(3) == 0 && j.payload != ""
	var got *Job
	var err error
	if j.spilled {
		record.Payload = nil
		got, err = r.q.RestoreHead(r.model.now, record, len(j.payload))
	} else {
		got, err = r.q.Restore(r.model.now, record)
	}
	if bad != (err != nil) {
		r.fail("Restore(%d): %v", j.seq, err)
	}
	if bad {
		return
	}
	r.model.seq, r.model.before = max(r.model.seq, j.seq), max(r.model.before, j.seq)
	r.model.get(j.fn)
	r.model.jobs = append(r.model.jobs, j)
	if !j.spilled || j.unique != "-" {
		r.model.index(j)
	}
	r.model.startRestored(j)
	r.model.spillIfNeeded(j)
	r.real[j] = got
}

func (m *model) startRestored(j *modelJob) {
	p := m.get(j.fn).policy
	if p != nil && j.failures > 0 && j.runAt > m.wall+p.Max {
		j.runAt = m.wall + p.Max
		m.retryAfter(j, p.Max)
		return
	}
	m.startJob(j)
}

func (r *rig) lookup() {
	unique := []string{"u", "v", "-", ""}[r.n(4)]
	var want *Job
	for _, f := range r.model.funcs {
		j := r.model.same(f.name, unique, "")
		if unique != "-" && j != nil && (want == nil || j.seq < want.seq) {
			want = r.real[j]
		}
	}
	got, last := r.q.ByUnique([]byte(unique), nil, 1)
	for last != nil {
		var j *Job
		if j, last = r.q.ByUnique([]byte(unique), last, 1); j != nil && (got == nil || j.seq < got.seq) {
			got = j
		}
	}
	if got != want {
		r.fail("ByUnique(%q): %v, want %v", unique, got, want)
	}
}
