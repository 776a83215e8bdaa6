package queue

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var steps = flag.Int("steps", 100_000, "random operations of TestRandomOperations")

// TestRandomOperations runs random operations on the queue and the model side
// by side, and checks everything after each.
func TestRandomOperations(t *testing.T) {
	kinds := make(map[string]int)
	for done, seed := 0, uint64(1); done < *steps; seed++ {
		r := newRig(t, randomScript(seed))
		if seed%4 == 0 {
			r.q.sharedFunctions = 2 // so that some workers have private classes
		}
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

// TestRandomWithholding is TestRandomOperations for a queue whose dead letters
// often take too much memory, so that it withholds spilled jobs.
func TestRandomWithholding(t *testing.T) {
	begun, overtaken := 0, 0
	for done, seed := 0, uint64(1); done < *steps/5; seed++ {
		r := newRig(t, randomScript(seed))
		cfg := r.model.cfg
		cfg.Spill, cfg.Memory, cfg.DeadMax = true, []int64{24, 80}[seed%2], 3
		r.open(cfg)
		r.weights = map[string]int{
			"restore": 10, "fail for good": 8, "tick": 4, "drop dead": 0, "release dead": 1,
			"complete": 1, "pause": 1, "purge": 0, "reset": 0, "cantdo": 1, "loaded": 2,
		}
		done += r.run()
		begun += r.begun
		overtaken += r.model.overtaken
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if begun == 0 || overtaken == 0 {
		t.Errorf("jobs were withheld %d times, and %d foreground jobs overtook some", begun, overtaken)
	}
	t.Logf("jobs were withheld %d times, and %d foreground jobs overtook some", begun, overtaken)
}

// randomScript returns the script of a seed.
func randomScript(seed uint64) []byte {
	script := make([]byte, 6000)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	rng.Read(script)
	return script
}

// FuzzQueue runs operations that the fuzzer chooses. It finds more with
// -fuzzminimizetime=1x, because a shortened script runs other operations.
func FuzzQueue(f *testing.F) {
	f.Fuzz(func(t *testing.T, script []byte) {
		newRig(t, script[:min(len(script), 4000)]).run()
	})
}

// rig runs a script of bytes on a queue and its model.
type rig struct {
	t        *testing.T
	script   []byte
	q        *Queue
	model    *model
	peers    []*Peer
	real     map[*modelJob]*Job
	past     []*modelJob // some that have ended
	realDead map[*modelDead]*DeadLetter
	retained []*DeadLetter // of the current step
	ticked   int64         // the time of the last Tick
	steps    int
	full     int // jobs over which no more are submitted
	events   []string
	wakes    int

	weights map[string]int // of some operations, in place of their own
	begun   int            // how often the queue began to withhold jobs

	gathers bool     // Rouse is called after every second step, not after each
	log     []string // of the last steps
	kinds   map[string]int
}

const (
	rigPeers     = 6
	rigFunctions = 4
)

func newRig(t *testing.T, script []byte) *rig {
	r := &rig{t: t, script: script, real: make(map[*modelJob]*Job), realDead: make(map[*modelDead]*DeadLetter), kinds: make(map[string]int)}
	cfg := Config{
		Host:       "test",
		FirstSeq:   uint64(60 * r.n(2)), // the second page begins soon
		JobRetries: r.n(4) - 1,
		RoundRobin: r.n(2) == 1,
		Wakeups:    []int{1, 1, 1, 2, 0}[r.n(5)],
		WakeAfter:  20,
		DeadMax:    []int{0, 1, 3}[r.n(3)],
		DeadAge:    []int64{0, 60}[r.n(2)],
		Memory:     []int64{0, 24, 80, 700}[r.n(4)],
		Spill:      r.n(2) == 1,
	}
	r.gathers = r.n(2) == 1
	r.full = []int{2, 5, 30}[r.n(3)] // workers sleep for the most part, or hardly ever
	r.open(cfg)
	return r
}

// open makes a queue and its model.
func (r *rig) open(cfg Config) {
	r.model = &model{cfg: cfg, deadOf: make(map[string][]*modelDead), now: 1000, wall: 5000, seq: cfg.FirstSeq}
	if r.n(2) == 1 {
		r.model.rand, cfg.Rand = counter(), counter()
	}
	r.q = New(cfg, r)
	r.model.isMarked = func(fn string, p rank) bool { return r.q.functions.byName[fn].withheld[p] }
	r.q.SetClocks(r.model.now, r.model.wall)
	r.peers = nil
	for i := range rigPeers {
		r.addPeer(i)
	}
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

// run runs the script to its end, then removes everything, and returns the number
// of operations.
func (r *rig) run() int {
	n := 0
	for ; len(r.script) > 0; n++ {
		r.step(r.pick())
	}
	for i := range r.peers {
		r.step("gone", func() { r.removePeer(i) })
	}
	for _, j := range slices.Clone(r.model.jobs) {
		r.step("release the last", func() { r.release(j) })
	}
	r.step("load all", func() { r.setLoading(false) })
	for _, d := range slices.Clone(r.model.dead) {
		r.step("drop the last dead", func() { r.dropDead(d) })
	}
	for _, f := range slices.Clone(r.model.funcs) {
		r.step("purge the last", func() { r.purge(f.name) })
		r.step("drop the last", func() { r.dropFunction(f.name) })
	}
	r.checkEmpty()
	return n
}

// step runs one operation on both and compares the events.
func (r *rig) step(name string, do func()) {
	r.events, r.model.events, r.wakes, r.retained = nil, nil, 0, nil
	r.steps++
	r.log = append(r.log[max(0, len(r.log)-30):], fmt.Sprintf("%d: %s", r.model.now, name))
	do()
	if !r.gathers || r.steps%2 == 0 {
		r.q.Rouse()
	}
	r.meetDead()
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
	if m.sleep != asleep {
		r.fail("NOOP for %s, who does not sleep", m.name)
	}
	private := len(m.can) > r.q.sharedFunctions // it is woken to ask, and its class is made then
	if !private && !slices.ContainsFunc(m.can, func(a modelAbility) bool { return r.q.functions.byName[a.fn].ready() > 0 }) {
		r.fail("NOOP for %s, who has nothing to do", m.name)
	}
	m.sleep, m.since = woken, r.model.now
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

// operations lists all operations with their weights.
var operations = []struct {
	name   string
	weight int
	do     func(r *rig)
}{
	{"submit", 12, func(r *rig) { r.submit() }},
	{"grab", 12, func(r *rig) { r.grab(r.n(rigPeers)) }},
	{"grab again", 3, func(r *rig) { r.grabAgain(r.n(rigPeers)) }},
	{"sleep", 8, func(r *rig) { r.sleep(r.n(rigPeers)) }},
	{"cando", 6, func(r *rig) { r.canDo() }},
	{"cantdo", 2, func(r *rig) { r.cantDo() }},
	{"reset", 1, func(r *rig) { r.reset(r.n(rigPeers)) }},
	{"gone", 1, func(r *rig) { r.removePeer(r.n(rigPeers)) }},
	{"release", 5, func(r *rig) { r.release(r.held()) }},
	{"abort", 2, func(r *rig) { r.abort(r.held()) }},
	{"complete", 5, func(r *rig) { r.finish(Completed) }},
	{"fail", 1, func(r *rig) { r.finish(Failed) }},
	{"give back", 2, func(r *rig) { r.finish(GivenBack) }},
	{"status", 1, func(r *rig) { r.status() }},
	{"cancel", 2, func(r *rig) { r.cancel(r.any()) }},
	{"tick", 8, func(r *rig) { r.tick() }},
	{"set the wall clock", 1, func(r *rig) { r.setWall() }},
	{"pause", 2, func(r *rig) { r.pause() }},
	{"purge", 1, func(r *rig) { r.purge(r.function()) }},
	{"drop", 1, func(r *rig) { r.dropFunction(r.function()) }},
	{"create", 1, func(r *rig) { r.create() }},
	{"limits", 1, func(r *rig) { r.limits() }},
	{"restore", 1, func(r *rig) { r.restoreJob() }},
	{"lookup", 1, func(r *rig) { r.lookup() }},
	{"policy", 1, func(r *rig) { r.policy() }},
	{"note", 1, func(r *rig) { r.comment() }},
	{"fail for good", 1, func(r *rig) { r.finish(Exhausted) }},
	{"retry dead", 2, func(r *rig) { r.retryDead() }},
	{"drop dead", 1, func(r *rig) { r.dropDead(r.anyDead()) }},
	{"release dead", 2, func(r *rig) { r.releaseDead() }},
	{"restore dead", 1, func(r *rig) { r.restoreDead() }},
	{"loaded", 5, func(r *rig) { r.loaded() }},
	{"wanted", 3, func(r *rig) { r.wanted() }},
	{"loading", 1, func(r *rig) { r.setLoading(r.n(2) == 0) }},
}

func (r *rig) pick() (string, func()) {
	sum := 0
	for _, o := range operations {
		sum += r.weight(o.name, o.weight)
	}
	at := r.n(sum)
	for _, o := range operations {
		if at -= r.weight(o.name, o.weight); at < 0 {
			r.kinds[o.name]++
			return o.name, func() { o.do(r) }
		}
	}
	panic("not reached")
}

func (r *rig) weight(operation string, own int) int {
	if w, ok := r.weights[operation]; ok {
		return w
	}
	return own
}

func (r *rig) function() string { return string(rune('f' + r.n(rigFunctions))) }

// any returns a random job, which may have ended, or nil before the first job.
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
