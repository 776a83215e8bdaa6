package queue

import (
	"fmt"
	"slices"
)

// check compares everything that the queue shows with the model, and checks
// that its internal state is consistent.
func (r *rig) check() {
	r.checkJobs()
	r.checkFunctions()
	r.checkPeers()
	r.checkClasses()
	r.checkTimers()
	r.checkPromise()
	r.checkDead()
	r.checkMemory()
}

func (r *rig) checkJobs() {
	q, m := r.q, r.model
	if q.Len() != len(m.jobs) {
		r.fail("Len is %d, want %d", q.Len(), len(m.jobs))
	}
	var last uint64
	n, hashed := 0, 0
	q.Jobs(func(j *Job) bool {
		if n++; j.Seq() <= last {
			r.fail("job %d stands behind job %d", j.Seq(), last)
		}
		last = j.Seq()
		if _, ok := q.hashOf(j); ok {
			hashed++
		}
		return true
	})
	for seq, more, paged := uint64(0), true, 0; more || paged != n; {
		if !more {
			r.fail("JobsAfter shows %d jobs, Jobs %d", paged, n)
		}
		seq, more = q.JobsAfter(seq, 1+r.steps%3, func(*Job) bool { paged++; return true })
	}
	if n != q.Len() {
		r.fail("Jobs shows %d jobs, Len is %d", n, q.Len())
	}
	for _, j := range q.uniques {
		for ; j != nil; j = j.sameHash() {
			hashed--
		}
	}
	if hashed != 0 {
		r.fail("unique index: %d entries missing", hashed)
	}
	for _, want := range m.jobs {
		r.checkJob(r.real[want], want)
	}
}

func (r *rig) checkJob(j *Job, want *modelJob) {
	if got := r.q.Lookup([]byte(j.Handle())); got != j {
		r.fail("Lookup(%s) is %v", j.Handle(), got)
	}
	var waiters []*modelPeer
	j.Waiters(func(p *Peer) bool {
		waiters = append(waiters, p.Owner.(*modelPeer))
		return true
	})
	num, den := j.Status()
	got := fmt.Sprintln(j.Seq(), j.Function().Name(), string(j.Unique()), string(j.Payload()), string(j.Reducer()),
		j.Priority(), j.State(), j.Background(), j.is(promoting), j.RunAt(), j.Accepted(), j.Attempts(), num, den,
		j.Started(), names(waiters), j.NumWaiters(), j.Ignored(), j.Note(), j.Spilled(), j.Size())
	payload := want.payload
	if want.spilled {
		payload = ""
	}
	unwanted := !want.background && len(want.waiters) == 0
	if expected := fmt.Sprintln(want.seq, want.fn, want.unique, payload, want.reducer,
		want.priority.priority(), want.state, want.background, want.promoting, want.runAt, want.accepted, want.attempts(), want.num, want.den,
		want.started, names(want.waiters), len(want.waiters), want.state == Running && (want.cancelled_ || unwanted),
		want.note, want.spilled, len(want.payload)); got != expected {
		r.fail("job is\n%swant\n%s", got, expected)
	}
	if want.worker == nil {
		if j.Worker() != nil {
			r.fail("job %d has a worker", j.Seq())
		}
	} else if j.Worker() == nil || j.Worker().Owner != want.worker || r.q.Held(j.Worker(), []byte(j.Handle())) != j {
		r.fail("job %d is not held by %s", j.Seq(), want.worker.name)
	}
}

func (r *rig) checkFunctions() {
	q, m := r.q, r.model
	if q.restless.n == 0 || r.steps%4 == 0 { // Snapshot classifies the restless, which should live for some steps
		var got Snapshot
		for f, more := (*Function)(nil), true; more; {
			got, f, more = q.SnapshotAfter(m.now, f, 1+r.steps%3, got)
		}
		if want := m.snapshot(); !slices.Equal(got, want) {
			r.fail("snapshot is\n%+v\nwant\n%+v", got, want)
		}
	}
	i, nserved := 0, 0
	q.Functions(func(f *Function) bool {
		want := m.funcs[i]
		i++
		for p := range priorities {
			r.checkList(&f.waiting[p], want.waiting[p])
			r.checkList(&f.behind[p], want.behind[p])
			if f.withheld[p] && !m.withholds(want.waiting[p]) {
				r.fail("%s: the jobs of %v are withheld, and should not be", f.name, rank(p).priority())
			}
		}
		if served := m.workers(f.name) > 0 && m.ready(f.name) > 0; f.served != served {
			r.fail("%s: served is %v, want %v", f.name, f.served, served)
		} else if served {
			nserved++
		}
		r.checkForeground(f, want)
		if total := m.count(f.name, Held, Delayed, Waiting, Running); f.total != total {
			r.fail("%s: total is %d, want %d", f.name, f.total, total)
		}
		tokens := 0
		for _, p := range r.peers {
			if p.token == f {
				tokens++
			}
		}
		if f.tokens != tokens {
			r.fail("%s: tokens are %d, counted %d", f.name, f.tokens, tokens)
		}
		return true
	})
	if q.Ready() != (nserved > 0) || q.served != nserved {
		r.fail("%d functions are served, want %d", q.served, nserved)
	}
}

func (r *rig) checkForeground(f *Function, want *modelFunction) {
	jobs := 0
	for _, l := range want.waiting {
		for _, j := range l {
			if !j.background {
				jobs++
			}
		}
	}
	listed := jobs > 0 && f.workers > 0 && !f.paused
	if f.foreground.jobs != jobs || listed != (f.foreground.next != nil) {
		r.fail("%s: %+v, want %d foreground jobs and listed %v", f.name, f.foreground, jobs, listed)
	}
}

func (r *rig) checkList(l *jobList, want []*modelJob) {
	var got []uint64
	for j := l.head; j != nil; j = j.next {
		got = append(got, j.seq)
		if j.next != nil && j.next.prev != j {
			r.fail("list of %s is torn at job %d", j.function.name, j.seq)
		}
	}
	if !slices.EqualFunc(got, want, func(seq uint64, j *modelJob) bool { return seq == j.seq }) || len(got) != l.n {
		r.fail("jobs wait as %v, want %s", got, seqs(want))
	}
}

func (r *rig) checkPeers() {
	sleeping, withToken := 0, 0
	for i, p := range r.peers {
		want := r.model.peers[i]
		var can []string
		for _, a := range want.can {
			can = append(can, a.fn)
		}
		var walk PeerWalk
		p.BeginWalk(&walk)
		if got, _ := walk.Functions(nil, 1000); !slices.Equal(got, can) {
			r.fail("%s can do %v, want %v", want.name, got, can)
		}
		if p.sleep != want.sleep || p.Sleeping() != (want.sleep == asleep) {
			r.fail("%s sleeps as %d, want %d", want.name, p.sleep, want.sleep)
		}
		var holds []uint64
		walk.Jobs(1000, func(j *Job) { holds = append(holds, j.seq) })
		walk.End()
		if !slices.EqualFunc(holds, want.holds, func(seq uint64, j *modelJob) bool { return seq == j.seq }) || p.NumJobs() != len(holds) {
			r.fail("%s holds %v, want %s", want.name, holds, seqs(want.holds))
		}
		waits := 0
		for _, j := range r.model.jobs {
			for _, w := range j.waiters {
				if w == want {
					waits++
				}
			}
		}
		if p.NumWaits() != waits {
			r.fail("%s waits for %d, want %d", want.name, p.NumWaits(), waits)
		}
		if p.sleep == asleep {
			sleeping++
		}
		if p.token != nil {
			withToken++
			if p.sleep != woken || p.abilities[p.token] == nil {
				r.fail("%s has a token of %s", want.name, p.token.name)
			}
		}
	}
	if r.q.sleeping != sleeping || r.q.woken.n != withToken {
		r.fail("queue counts %d asleep and %d with a token, want %d and %d", r.q.sleeping, r.q.woken.n, sleeping, withToken)
	}
}

func (r *rig) checkClasses() {
	peers := make(map[*class]int)
	asleepIn := make(map[*class]int)
	for _, p := range r.peers {
		if p.class == nil {
			continue
		}
		if !p.class.fits(p) {
			r.fail("%s is in the wrong class", p.Owner.(*modelPeer).name)
		}
		peers[p.class]++
		if p.sleep == asleep {
			asleepIn[p.class]++
		}
	}
	all := make([]*class, 0, len(peers))
	for _, c := range r.q.classes {
		for ; c != nil; c = c.sameHash {
			all = append(all, c)
		}
	}
	for c := range peers {
		if c.private {
			all = append(all, c)
		}
	}
	n, members := len(all), 0
	for _, p := range r.peers {
		if w := p.classWork; w != nil {
			for _, c := range []*class{w.old, w.made} {
				if c != nil {
					members += len(c.functions)
				}
			}
		}
	}
	for _, c := range all {
		members += len(c.functions)
		if c.peers != peers[c] || c.peers == 0 || c.sleepers.n != asleepIn[c] {
			r.fail("class of %d peers and %d sleepers, want %d and %d", c.peers, c.sleepers.n, peers[c], asleepIn[c])
		}
		for i, f := range c.functions {
			if f.classes[c.places[i]] != (member{c, i}) {
				r.fail("%s does not know its class", f.name)
			}
			for p := range priorities {
				bit := c.ready[p].next(i) == i
				if want := !f.paused && f.waiting[p].n > 0 && !f.withheld[p]; bit != want {
					r.fail("%s: bit of %v is %v, want %v", f.name, rank(p).priority(), bit, want)
				}
			}
		}
	}
	r.q.Functions(func(f *Function) bool {
		members -= len(f.classes)
		return true
	})
	if n != len(peers) || members != 0 {
		r.fail("%d classes, want %d; %d members missing", n, len(peers), members)
	}
}

func (r *rig) checkTimers() {
	var next int64
	sooner := func(at int64) {
		if next == 0 || at < next {
			next = at
		}
	}
	n := 0
	for _, j := range r.model.jobs {
		if at := r.model.due(j); at > 0 {
			n++
			sooner(at)
		}
	}
	for _, p := range r.peers {
		if p.token != nil {
			sooner(p.wokenAt + r.q.cfg.WakeAfter)
		}
	}
	if age := r.q.cfg.DeadAge; age > 0 && len(r.model.dead) > 0 {
		sooner(r.model.dead[0].died + age - (r.model.wall - r.model.now))
	}
	if len(r.q.timers)+len(r.q.dates) != n || r.q.Dated() != (len(r.q.dates) > 0) {
		r.fail("%d timers and %d dates, want %d in all", len(r.q.timers), len(r.q.dates), n)
	}
	for _, h := range []timers{r.q.timers, r.q.dates} {
		for i, t := range h {
			if int(t.job.detail.timer) != i+1 || t.before(h[max(i-1, 0)/2]) {
				r.fail("timer %d of job %d is out of place", i, t.job.seq)
			}
		}
	}
	if at, ok := r.q.Next(); at != next || ok != (next != 0) {
		r.fail("Next is %d, %v, want %d", at, ok, next)
	}
}

// checkPromise checks that no ready job waits while a worker for it sleeps:
// from outside, where such a worker must have been woken a short time ago, and
// by the promise in wake.go.
func (r *rig) checkPromise() {
	if len(r.q.gathered) > 0 {
		return // Rouse keeps it
	}
	r.q.Functions(func(f *Function) bool {
		ready, sleepers := r.model.ready(f.name), r.model.sleepers(f.name)
		if ready == 0 || sleepers == 0 {
			return true
		}
		if f.tokens < ready {
			r.fail("%s: %d jobs ready, %d workers asleep, %d tokens", f.name, ready, sleepers, f.tokens)
		}
		for _, p := range r.model.peers {
			if p.sleep == woken && p.ability(f.name) != nil && r.ticked < p.since+r.q.cfg.WakeAfter {
				return true
			}
		}
		r.fail("%s: %d jobs ready beside %d sleeping workers, and nobody was woken", f.name, ready, sleepers)
		return true
	})
}

// checkEmpty looks for leaks after everything was removed.
func (r *rig) checkEmpty() {
	q := r.q
	if q.Len() != 0 || len(q.uniques) != 0 || len(q.jobs.pages) > 1 || q.running != 0 || q.served != 0 {
		r.fail("jobs are left in an index: %d, %d, %d", q.Len(), len(q.uniques), len(q.jobs.pages))
	}
	if len(q.timers)+len(q.dates) != 0 || len(q.classes) != 0 || q.sleeping != 0 || q.restless.n != 0 || q.woken.n != 0 {
		r.fail("timers, classes or sleepers are left: %d, %d, %d, %d, %d",
			len(q.timers)+len(q.dates), len(q.classes), q.sleeping, q.restless.n, q.woken.n)
	}
	if len(q.notes) != 0 || len(q.deadBySeq) != 0 || len(q.retrying) != 0 || q.Totals() != (Totals{}) || q.memory.dead != 0 {
		r.fail("notes, dead letters or memory are left: %d, %d, %d, %+v", len(q.notes), len(q.deadBySeq), len(q.retrying), q.memory)
	}
	if q.withholding || q.withheld != nil || q.memory.unstored != 0 || q.foreground.n != 0 || q.foreground.first != nil {
		r.fail("withholding %v of %d functions for %d bytes, and %d functions with foreground jobs are left",
			q.withholding, len(q.withheld), q.memory.unstored, q.foreground.n)
	}
	for f := q.functions.first; f != nil; f = f.next {
		if f.dead.n != 0 || f.spilled != 0 || f.total != 0 || f.running != 0 || f.workers != 0 || f.tokens != 0 || len(f.classes) != 0 {
			r.fail("%s is left with %+v", f.name, *f)
		}
	}
}

func seqs(jobs []*modelJob) string {
	var s []uint64
	for _, j := range jobs {
		s = append(s, j.seq)
	}
	return fmt.Sprint(s)
}
