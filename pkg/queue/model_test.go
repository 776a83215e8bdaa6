package queue

import (
	"fmt"
	"slices"
	"strings"
)

// model is a second, naive queue: slices, linear scans, no index, no cache. It
// predicts every result and every event, except which of several sleeping workers
// is woken; the sink reports that.
type model struct {
	cfg    Config
	now    int64
	wall   int64 // the wall clock
	seq    uint64
	jobs   []*modelJob             // all, in the order in which they came in
	dead   []*modelDead            // in the order of their deaths
	deadOf map[string][]*modelDead // the same by function
	peers  []*modelPeer
	funcs  []*modelFunction

	indexed int    // the last number of a job's entry into the unique index
	next    string // the function that wanted begins with
	loading bool
	before  uint64

	overtaken   int                          // withheld lists, by foreground jobs
	withholding bool                         // spilled jobs
	isMarked    func(fn string, p rank) bool // whether the queue has marked a list as withheld; the rig checks the mark
	rand        func() uint64

	events []string // of the current step, as expected
}

type modelJob struct {
	seq                               uint64
	fn, unique, payload, reducer      string
	priority                          rank
	state                             State
	background, promoting, cancelled_ bool
	runAt, accepted, started          int64
	retryAt                           int64 // by now, if it failed
	deadline                          int64
	failures, losses                  int
	num, den                          int64
	worker                            *modelPeer
	waiters                           []*modelPeer

	indexed         int // among those with a unique, 0 if nothing finds it
	stored, spilled bool
	note            string
	noteAt          int // attempts when it came
	was             *modelDead
}

func (j *modelJob) attempts() int { return j.failures + j.losses }

type modelPeer struct {
	name         string
	can          []modelAbility
	sleep        sleepState
	nextPosition int
	since        int64 // woken
	holds        []*modelJob
}

type modelAbility struct {
	fn      string
	timeout int64
}

type modelFunction struct {
	name     string
	waiting  [priorities][]*modelJob
	behind   [priorities][]*modelJob
	policy   *Policy
	limits   [3]int
	paused   bool
	counters counters
}

func (m *model) expect(format string, args ...any) {
	m.events = append(m.events, fmt.Sprintf(format, args...))
}

func (m *model) find(name string) *modelFunction {
	for _, f := range m.funcs {
		if f.name == name {
			return f
		}
	}
	return nil
}

func (m *model) get(name string) *modelFunction {
	f := m.find(name)
	if f == nil {
		f = &modelFunction{name: name}
		m.funcs = append(m.funcs, f)
	}
	return f
}

// count counts the jobs of a function in one of the states.
func (m *model) count(fn string, states ...State) (n int) {
	for _, j := range m.jobs {
		if j.fn == fn && slices.Contains(states, j.state) {
			n++
		}
	}
	return n
}

func (m *model) workers(fn string) (n int) {
	for _, p := range m.peers {
		if p.ability(fn) != nil {
			n++
		}
	}
	return n
}

func (p *modelPeer) ability(fn string) *modelAbility {
	for i := range p.can {
		if p.can[i].fn == fn {
			return &p.can[i]
		}
	}
	return nil
}

// sleepers counts the workers that sleep and can do fn.
func (m *model) sleepers(fn string) (n int) {
	for _, p := range m.peers {
		if p.sleep == asleep && p.ability(fn) != nil {
			n++
		}
	}
	return n
}

func (m *model) ready(fn string) int {
	f := m.find(fn)
	if f == nil || f.paused {
		return 0
	}
	n := 0
	for p, l := range f.waiting {
		if !m.isMarked(fn, rank(p)) {
			n += len(l)
		}
	}
	return n
}

// withholds reports whether a worker gets none of the waiting jobs of l.
func (m *model) withholds(l []*modelJob) bool { return len(l) > 0 && m.first(l) == nil }

// first returns the job of l that a worker gets first, or nil.
func (m *model) first(l []*modelJob) *modelJob {
	if len(l) > 0 && !(m.withholding && l[0].spilled) {
		return l[0]
	}
	if i := slices.IndexFunc(l, func(j *modelJob) bool { return !j.background }); i >= 0 {
		return l[i]
	}
	return nil
}

// same finds the job that a submission coalesces with.
func (m *model) same(fn, unique, payload string) *modelJob {
	if unique == "" || unique == "-" && payload == "" {
		return nil
	}
	var first *modelJob
	for _, j := range m.jobs {
		if j.indexed > 0 && !j.cancelled_ && j.fn == fn && j.unique == unique && (unique != "-" || j.payload == payload) &&
			(first == nil || j.indexed < first.indexed) {
			first = j
		}
	}
	return first
}

// index enters j, if something could find it.
func (m *model) index(j *modelJob) {
	j.indexed = 0
	if j.unique != "" && (j.unique != "-" || j.payload != "") {
		m.indexed++
		j.indexed = m.indexed
	}
}

func (m *model) submit(s *Submission, client *modelPeer) string {
	f := m.get(string(s.Function))
	if j := m.same(f.name, string(s.Unique), string(s.Payload)); j != nil {
		f.counters.coalesced++
		if !s.Background {
			j.waiters = append(j.waiters, client)
			return fmt.Sprintf("%d joined", j.seq)
		}
		return j.joinBackground(s.Hold)
	}
	if l := f.limits[rankOf(s.Priority)]; l > 0 && m.count(f.name, Held, Delayed, Waiting, Running) >= l {
		return ErrFull.Error()
	}
	size := len(s.Payload) + len(s.Unique) + len(s.Reducer)
	if m.cfg.Memory > 0 && m.bytes()+size > int(m.cfg.Memory) && !(m.cfg.Spill && s.Background && s.Hold) {
		return ErrMemory.Error()
	}
	m.seq++
	j := &modelJob{
		seq: m.seq, fn: f.name, unique: string(s.Unique), payload: string(s.Payload), reducer: string(s.Reducer),
		priority: rankOf(s.Priority), background: s.Background, accepted: m.wall, state: Held,
	}
	if s.RunAt > m.wall {
		j.runAt = s.RunAt
	}
	if !s.Background {
		j.waiters = []*modelPeer{client}
	}
	m.jobs = append(m.jobs, j)
	m.index(j)
	if !s.Hold {
		f.counters.submitted++
		m.startJob(j)
	}
	return fmt.Sprintf("%d fresh", j.seq)
}

func (j *modelJob) joinBackground(hold bool) string {
	if j.background {
		return fmt.Sprintf("%d joined", j.seq)
	}
	j.background, j.promoting = true, hold
	return fmt.Sprintf("%d promoted", j.seq)
}

func (m *model) startJob(j *modelJob) {
	if j.runAt > m.wall {
		j.state, j.retryAt = Delayed, 0
		return
	}
	m.startNow(j)
}

func (m *model) startNow(j *modelJob) {
	j.state = Waiting
	l := &m.get(j.fn).waiting[j.priority]
	if m.loading && j.background && j.seq > m.before {
		l = &m.get(j.fn).behind[j.priority]
	}
	*l = append(*l, j)
}

func (m *model) release(j *modelJob) {
	j.promoting = false
	j.stored = j.background
	if j.state != Held {
		m.spillIfNeeded(j)
		return
	}
	j.was = nil
	m.get(j.fn).counters.submitted++
	switch {
	case j.cancelled_:
		m.endJob(j, Cancelled)
	case !j.background && len(j.waiters) == 0:
		m.endJob(j, Abandoned)
	default:
		m.startJob(j)
		m.spillIfNeeded(j)
	}
}

func (m *model) abort(j *modelJob) {
	switch {
	case j.state == Held:
		m.forgetJob(j)
		if j.was != nil {
			m.insertDead(j.was)
			m.dropExcessDead(j.fn)
		}
	case j.promoting && j.state != Ended:
		j.promoting, j.background = false, false
		if len(j.waiters) == 0 && j.state != Running {
			m.endJob(j, Abandoned)
		}
	}
}

func (m *model) endJob(j *modelJob, why Reason) {
	m.expect("%d ended %v to %s", j.seq, why, names(j.waiters))
	switch why {
	case Completed:
		m.get(j.fn).counters.completed++
	case Failed, Exhausted:
		m.get(j.fn).counters.failed++
	}
	retained := m.retainDead(j, why)
	m.forgetJob(j)
	if retained {
		m.dropExcessDead(j.fn)
	}
}

func (m *model) forgetJob(j *modelJob) {
	is := func(o *modelJob) bool { return o == j }
	m.jobs = slices.DeleteFunc(m.jobs, is)
	f := m.get(j.fn)
	for _, l := range []*[]*modelJob{&f.waiting[j.priority], &f.behind[j.priority]} {
		*l = slices.DeleteFunc(*l, is)
	}
	if j.worker != nil {
		j.worker.holds = slices.DeleteFunc(j.worker.holds, is)
	}
	j.state, j.worker, j.waiters = Ended, nil, nil
	j.promoting = false
}

func (m *model) grab(p *modelPeer) *modelJob {
	p.sleep = awake
	for prio := range priorities {
		for i := range p.can {
			at := i
			if m.cfg.RoundRobin {
				at = (p.nextPosition + i) % len(p.can)
			}
			f := m.find(p.can[at].fn)
			j := m.first(f.waiting[prio])
			if f.paused || j == nil {
				continue
			}
			if j != f.waiting[prio][0] {
				m.overtaken++
			}
			f.waiting[prio] = slices.DeleteFunc(f.waiting[prio], func(o *modelJob) bool { return o == j })
			m.runs(p, j, p.can[at].timeout)
			p.nextPosition = at + 1
			return j
		}
	}
	return nil
}

func (m *model) grabAgain(p *modelPeer, j *modelJob) bool {
	a := p.ability(j.fn)
	if a == nil || j.state != Waiting && (j.state != Delayed || j.attempts() == 0) {
		return false
	}
	f := m.find(j.fn)
	for _, l := range []*[]*modelJob{&f.waiting[j.priority], &f.behind[j.priority]} {
		*l = slices.DeleteFunc(*l, func(o *modelJob) bool { return o == j })
	}
	m.runs(p, j, a.timeout)
	return true
}

// runs gives j to p.
func (m *model) runs(p *modelPeer, j *modelJob, timeout int64) {
	j.state, j.worker, j.started, j.deadline = Running, p, m.now, 0
	if timeout > 0 {
		j.deadline = m.now + timeout
	}
	p.holds = append(p.holds, j)
}

func (m *model) loseJob(j *modelJob, why Reason) {
	text := why.String()
	if why == TimedOut {
		text = fmt.Sprintf("timed out after %dms", j.deadline-j.started)
	}
	if !j.spilled {
		j.noteFailure(text)
		j.losses++
	}
	switch {
	case j.cancelled_:
		m.endJob(j, Cancelled)
	case !j.background && len(j.waiters) == 0:
		m.endJob(j, Abandoned)
	case m.cfg.JobRetries >= 0 && j.losses >= max(m.cfg.JobRetries, 1) && !j.spilled:
		m.endJob(j, Exhausted)
	default:
		m.unassignJob(j, why)
		j.state = Waiting
		f := m.get(j.fn)
		f.waiting[j.priority] = slices.Insert(f.waiting[j.priority], 0, j)
		m.spillIfNeeded(j)
	}
}

// unassignJob takes j from its worker, because j waits again.
func (m *model) unassignJob(j *modelJob, why Reason) {
	m.expect("%d requeued from %s: %v", j.seq, j.worker.name, why)
	j.worker.holds = slices.DeleteFunc(j.worker.holds, func(o *modelJob) bool { return o == j })
	j.worker, j.num, j.den, j.deadline, j.started = nil, 0, 0, 0, 0
	m.get(j.fn).counters.retried++
}

func (m *model) removePeer(p *modelPeer) {
	for _, j := range slices.Clone(m.jobs) {
		waited := len(j.waiters)
		j.waiters = slices.DeleteFunc(j.waiters, func(o *modelPeer) bool { return o == p })
		if waited > 0 && len(j.waiters) == 0 && !j.background && (j.state == Waiting || j.state == Delayed) {
			m.endJob(j, Abandoned)
		}
	}
	p.can, p.sleep, p.nextPosition = nil, awake, 0
	for len(p.holds) > 0 {
		m.loseJob(p.holds[len(p.holds)-1], WorkerLost)
	}
}

func (m *model) canDo(p *modelPeer, fn string, timeout int64) {
	m.get(fn)
	if a := p.ability(fn); a != nil {
		a.timeout = timeout
		return
	}
	p.can = slices.Insert(p.can, 0, modelAbility{fn, timeout})
	p.nextPosition = 0
}

func (m *model) cantDo(p *modelPeer, fn string) {
	if p.ability(fn) != nil {
		p.can = slices.DeleteFunc(p.can, func(a modelAbility) bool { return a.fn == fn })
		p.nextPosition = 0
	}
}

func (m *model) cancel(j *modelJob) bool {
	switch j.state {
	case Waiting, Delayed:
		m.endJob(j, Cancelled)
		return true
	case Running, Held:
		j.cancelled_ = true
	}
	return false
}

func (m *model) purge(fn string) (n int) {
	for _, j := range slices.Clone(m.jobs) {
		if j.fn == fn && (j.state == Waiting || j.state == Delayed) {
			m.endJob(j, Purged)
			n++
		}
	}
	return n
}

func (m *model) tick() {
	for {
		var first *modelJob
		for _, j := range m.jobs {
			if at := m.due(j); at > 0 && at <= m.now && (first == nil ||
				at < m.due(first) || at == m.due(first) && j.seq < first.seq) {
				first = j
			}
		}
		switch {
		case first == nil:
			m.dropExpiredDead()
			return
		case first.state == Delayed:
			m.startNow(first)
		default:
			m.loseJob(first, TimedOut)
		}
	}
}

// due returns the time at which a timer of j is due, 0 if it has none.
func (m *model) due(j *modelJob) int64 {
	switch {
	case j.state == Running:
		return j.deadline
	case j.state != Delayed:
		return 0
	case j.retryAt > 0:
		return j.retryAt
	}
	return j.runAt - (m.wall - m.now)
}

func (m *model) snapshot() Snapshot {
	s := Snapshot{}
	for _, f := range m.funcs {
		row := FunctionSnapshot{
			Function: f.name,
			High:     len(f.waiting[0]) + len(f.behind[0]), Normal: len(f.waiting[1]) + len(f.behind[1]), Low: len(f.waiting[2]) + len(f.behind[2]),
			Delayed: m.count(f.name, Delayed), Running: m.count(f.name, Running),
			Workers: m.workers(f.name), Sleeping: m.sleepers(f.name),
			Paused: f.paused, MaxQueue: f.limits,
			Submitted: f.counters.submitted, Coalesced: f.counters.coalesced,
			Completed: f.counters.completed, Failed: f.counters.failed, Retried: f.counters.retried,
		}
		for _, d := range m.dead {
			if d.fn == f.name {
				row.Dead++
			}
		}
		if f.policy != nil {
			row.Policy = f.policy.String()
		}
		for _, l := range slices.Concat(f.waiting[:], f.behind[:]) {
			if len(l) > 0 {
				row.OldestMS = max(row.OldestMS, m.wall-max(l[0].accepted, l[0].runAt))
			}
		}
		s = append(s, row)
	}
	return s
}

// names lists peers as the events show them.
func names(peers []*modelPeer) string {
	var s []string
	for _, p := range peers {
		s = append(s, p.name)
	}
	return "[" + strings.Join(s, " ") + "]"
}
