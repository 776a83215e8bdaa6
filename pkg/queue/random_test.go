package queue

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gm/pkg/store"
)

var steps = flag.Int("steps", 100_000, "random operations of TestRandomOperations")

// TestRandomOperations runs random operations on the queue and the model side
// by side, and checks everything after each.
func TestRandomOperations(t *testing.T) {
	kinds := make(map[string]int)
	for done, seed := 0, uint64(1); done < *steps; seed++ {
		script := make([]byte, 6000)
		rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
		rng.Read(script)
		r := newRig(t, script)
		done += r.run()
		for kind, n := range r.kinds {
			kinds[kind] += n
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, o := range operations {
		if kinds[o.name] == 0 {
			t.Errorf("operation %s never ran", o.name)
		}
	}
	t.Logf("operations: %v", kinds)
}

// FuzzQueue runs operations that the fuzzer makes up. It finds more with
// -fuzzminimizetime=1x: a shorter script is another one.
func FuzzQueue(f *testing.F) {
	f.Fuzz(func(t *testing.T, script []byte) {
		newRig(t, script[:min(len(script), 4000)]).run()
	})
}

// rig runs a script of bytes on a queue and its model.
type rig struct {
	t      *testing.T
	script []byte
	q      *Queue
	model  *model
	peers  []*Peer
	real   map[*modelJob]*Job
	past   []*modelJob // some that have ended
	ticked int64       // the time of the last Tick
	steps  int
	full   int // jobs over which no more are submitted
	events []string
	wakes  int
	log    []string // of the last steps
	kinds  map[string]int
}

const (
	rigPeers     = 6
	rigFunctions = 4
)

func newRig(t *testing.T, script []byte) *rig {
	r := &rig{t: t, script: script, real: make(map[*modelJob]*Job), kinds: make(map[string]int)}
	cfg := Config{
		Host:       "test",
		FirstSeq:   uint64(60 * r.n(2)), // the second page begins soon
		JobRetries: r.n(4) - 1,
		RoundRobin: r.n(2) == 1,
		Wakeups:    []int{1, 1, 1, 2, 0}[r.n(5)],
		WakeAfter:  20,
	}
	r.full = []int{2, 5, 30}[r.n(3)] // workers sleep for the most part, or hardly ever
	r.model = &model{cfg: cfg, now: 1000, seq: cfg.FirstSeq}
	r.q = New(cfg, r)
	for i := range rigPeers {
		r.addPeer(i)
	}
	return r
}

func (r *rig) addPeer(i int) {
	p := &modelPeer{name: string(rune('A' + i))}
	r.model.peers = append(r.model.peers, p)
	r.peers = append(r.peers, r.q.NewPeer(p))
}

// n returns a number below k, from the script.
func (r *rig) n(k int) int {
	if len(r.script) == 0 {
		return 0
	}
	b := int(r.script[0])
	r.script = r.script[1:]
	return b % k
}

func (r *rig) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(r.log, "\n"))
}

// run runs the script to its end, then takes everything away, and returns the
// number of operations.
func (r *rig) run() int {
	n := 0
	for ; len(r.script) > 0; n++ {
		r.step(r.pick())
	}
	for i := range r.peers {
		r.step("gone", func() { r.remove(i) })
	}
	for _, j := range slices.Clone(r.model.jobs) {
		r.step("release the last", func() { r.release(j) })
	}
	for _, f := range slices.Clone(r.model.funcs) {
		r.step("purge the last", func() { r.purge(f.name) })
		r.step("drop the last", func() { r.drop(f.name) })
	}
	r.checkEmpty()
	return n
}

// step runs one operation on both and compares the events.
func (r *rig) step(name string, do func()) {
	r.events, r.model.events, r.wakes = nil, nil, 0
	r.steps++
	r.log = append(r.log[max(0, len(r.log)-30):], fmt.Sprintf("%d: %s", r.model.now, name))
	do()
	slices.Sort(r.events)
	slices.Sort(r.model.events)
	if !slices.Equal(r.events, r.model.events) {
		r.fail("events are %q, want %q", r.events, r.model.events)
	}
	r.check()
	for j := range r.real {
		if j.state == Ended {
			r.past = append(r.past[max(0, len(r.past)-3):], j)
		}
	}
	for j := range r.real {
		if j.state == Ended && !slices.Contains(r.past, j) {
			delete(r.real, j)
		}
	}
}

// Wake, Requeued and Ended make the rig a Sink.

func (r *rig) Wake(p *Peer) {
	m := p.Owner.(*modelPeer)
	r.note("wake " + m.name)
	r.wakes++
	if m.rest != asleep {
		r.fail("NOOP for %s, who does not sleep", m.name)
	}
	if !slices.ContainsFunc(m.can, func(a modelAbility) bool { return r.q.functions.byName[a.fn].ready() > 0 }) {
		r.fail("NOOP for %s, who has nothing to do", m.name)
	}
	m.rest, m.since = woken, r.model.now
}

func (r *rig) Requeued(j *Job, p *Peer, why Reason) {
	event := fmt.Sprintf("%d requeued from %s: %v", j.seq, p.Owner.(*modelPeer).name, why)
	r.note(event)
	r.events = append(r.events, event)
}

func (r *rig) Ended(j *Job, why Reason) {
	var waiters []*modelPeer
	j.Waiters(func(p *Peer) bool {
		waiters = append(waiters, p.Owner.(*modelPeer))
		return true
	})
	event := fmt.Sprintf("%d ended %v to %s", j.seq, why, names(waiters))
	r.note(event)
	r.events = append(r.events, event)
}

func (r *rig) note(s string) { r.log = append(r.log, "\t"+s) }

// operations are all there are, with how often they are picked.
var operations = []struct {
	name   string
	weight int
	do     func(r *rig)
}{
	{"submit", 12, func(r *rig) { r.submit() }},
	{"grab", 12, func(r *rig) { r.grab(r.n(rigPeers)) }},
	{"sleep", 8, func(r *rig) { r.sleep(r.n(rigPeers)) }},
	{"cando", 6, func(r *rig) { r.canDo() }},
	{"cantdo", 2, func(r *rig) { r.cantDo() }},
	{"reset", 1, func(r *rig) { r.reset(r.n(rigPeers)) }},
	{"gone", 1, func(r *rig) { r.remove(r.n(rigPeers)) }},
	{"release", 5, func(r *rig) { r.release(r.held()) }},
	{"abort", 2, func(r *rig) { r.abort(r.held()) }},
	{"complete", 5, func(r *rig) { r.finish(Completed) }},
	{"fail", 1, func(r *rig) { r.finish(Failed) }},
	{"retry", 2, func(r *rig) { r.finish(GivenBack) }},
	{"status", 1, func(r *rig) { r.status() }},
	{"cancel", 2, func(r *rig) { r.cancel(r.any()) }},
	{"tick", 8, func(r *rig) { r.tick() }},
	{"pause", 2, func(r *rig) { r.pause() }},
	{"purge", 1, func(r *rig) { r.purge(r.function()) }},
	{"drop", 1, func(r *rig) { r.drop(r.function()) }},
	{"create", 1, func(r *rig) { r.create() }},
	{"limits", 1, func(r *rig) { r.limits() }},
	{"restore", 1, func(r *rig) { r.restore() }},
	{"lookup", 1, func(r *rig) { r.lookup() }},
}

func (r *rig) pick() (string, func()) {
	sum := 0
	for _, o := range operations {
		sum += o.weight
	}
	at := r.n(sum)
	for _, o := range operations {
		if at -= o.weight; at < 0 {
			r.kinds[o.name]++
			return o.name, func() { o.do(r) }
		}
	}
	panic("not reached")
}

func (r *rig) function() string { return string(rune('f' + r.n(rigFunctions))) }

// any returns some job, now and then an ended one, nil if there is none.
func (r *rig) any() *modelJob {
	all := slices.Concat(r.model.jobs, r.past)
	if len(all) == 0 {
		return nil
	}
	return all[r.n(len(all))]
}

// held returns a job that waits for the journal, if there is one.
func (r *rig) held() *modelJob {
	for _, j := range r.model.jobs {
		if (j.state == Held || j.promoting) && r.n(3) > 0 {
			return j
		}
	}
	return r.any()
}

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
		Priority:   Priority(r.n(priorities)),
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
		s.RunAt = r.model.now + int64(r.n(100)) - 5
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
		if j.state == Waiting && r.model.ready(fn) > 0 {
			if wakes = sleepers; r.model.cfg.Wakeups > 0 {
				wakes = min(sleepers, r.model.cfg.Wakeups)
			}
		}
	}
	if r.wakes != wakes {
		r.fail("Submit: %d NOOPs, want %d", r.wakes, wakes)
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

func (r *rig) sleep(i int) {
	p := r.model.peers[i]
	p.rest = asleep
	wake := slices.ContainsFunc(p.can, func(a modelAbility) bool { return r.model.ready(a.fn) > 0 })
	r.q.PreSleep(r.model.now, r.peers[i])
	if wake != (p.rest == woken) {
		r.fail("PreSleep: NOOP at once is %v, want %v", p.rest == woken, wake)
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
	r.model.peers[i].can, r.model.peers[i].turn = nil, 0
	r.q.ResetAbilities(r.peers[i])
}

func (r *rig) remove(i int) {
	r.model.remove(r.model.peers[i])
	r.q.Remove(r.model.now, r.peers[i])
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
	if j.state == Running {
		if why == GivenBack {
			r.model.lose(j, why)
		} else {
			r.model.end(j, why)
		}
	}
	switch why {
	case Completed:
		r.q.Complete(r.model.now, r.real[j])
	case Failed:
		r.q.Fail(r.model.now, r.real[j])
	case GivenBack:
		r.q.Retry(r.model.now, r.real[j])
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
	r.model.now += int64(r.n(30))
	r.ticked = r.model.now
	r.model.tick()
	r.q.Tick(r.model.now)
	for _, p := range r.peers {
		if p.token != nil && p.wokenAt+r.q.cfg.WakeAfter <= r.model.now {
			r.fail("Tick: the token of %s is too old", p.Owner.(*modelPeer).name)
		}
	}
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
	if got, err := r.q.Purge(r.model.now, []byte(fn)); got != want || (err == nil) != known {
		r.fail("Purge(%s): %d, %v, want %d", fn, got, err, want)
	}
}

func (r *rig) drop(fn string) {
	var want error
	switch {
	case r.model.find(fn) == nil:
		want = ErrNoFunction
	case r.model.workers(fn) > 0 || r.model.count(fn, Held, Delayed, Waiting, Running) > 0:
		want = ErrInUse
	default:
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

func (r *rig) restore() {
	if len(r.model.jobs) >= r.full {
		return
	}
	j := &modelJob{
		seq: r.model.seq + 1 + uint64(r.n(100)), fn: r.function(), unique: []string{"", "u", "-"}[r.n(3)],
		payload: "restored", priority: Priority(r.n(priorities + 1)), background: true,
		accepted: r.model.now - 50, attempts: r.n(2),
	}
	if r.n(2) > 0 {
		j.runAt = r.model.now + int64(r.n(100)) - 50
	}
	if r.n(4) == 0 && len(r.model.jobs) > 0 {
		j.seq = r.model.jobs[0].seq
	}
	bad := j.priority > Low || slices.ContainsFunc(r.model.jobs, func(o *modelJob) bool { return o.seq == j.seq })
	got, err := r.q.Restore(r.model.now, &store.Record{
		Seq: j.seq, Function: j.fn, Unique: j.unique, Payload: []byte(j.payload), Priority: uint8(j.priority),
		RunAt: j.runAt, Accepted: j.accepted, Attempts: j.attempts,
	})
	if bad != (err != nil) {
		r.fail("Restore(%d): %v", j.seq, err)
	}
	if bad {
		return
	}
	r.model.seq = max(r.model.seq, j.seq)
	r.model.get(j.fn)
	r.model.jobs = append(r.model.jobs, j)
	r.model.start(j)
	r.real[j] = got
}

func (r *rig) lookup() {
	unique := []string{"u", "v", "-", ""}[r.n(4)]
	var want *Job
	for _, j := range r.model.jobs {
		if unique != "" && unique != "-" && j.unique == unique && (want == nil || j.seq < want.seq) {
			want = r.real[j]
		}
	}
	if got := r.q.ByUnique([]byte(unique)); got != want {
		r.fail("ByUnique(%q): %v, want %v", unique, got, want)
	}
}
