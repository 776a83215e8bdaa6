package queue

import "math"

// A worker that gets a NOOP holds a wake token of the function that it was
// woken for, until it asks for a job. The code below keeps one promise:
//
//	of each function, as many tokens are out as jobs are ready,
//	or none of the workers that can do it sleeps.
//
// The promise holds after each Rouse, the only call that wakes workers, except for
// a PreSleep that finds a ready job. Until then Queue.gathered has the functions
// whose workers must be woken.
//
// A token is removed when its worker asks, sleeps again, loses the function or
// leaves, and when it is WakeAfter old. Wherever the code removes one, it calls
// scheduleRouse for the function. So no ready job waits longer than WakeAfter while a
// worker for it sleeps.

// PreSleep records that the worker sleeps until a job is ready for it. If one
// is ready now, the worker is woken at once.
func (q *Queue) PreSleep(now int64, p *Peer) {
	q.now = now
	if f := q.markAwake(p); f != nil {
		q.scheduleRouse(f)
	}
	c := q.classOf(p)
	p.sleep = asleep
	c.sleepers.pushBack(p)
	q.sleeping++
	if f, _, _ := c.firstReady(0); f != nil {
		q.wakePeer(p, f)
	}
}

// Rouse wakes workers for the jobs that have become ready since its last call and
// still are. The owner of the queue calls it after one or more other calls, before
// it unlocks the queue.
func (q *Queue) Rouse() {
	for i, f := range q.gathered {
		q.gathered[i] = nil
		fresh := min(f.fresh, f.ready())
		f.gathered, f.fresh = false, 0
		want := f.ready()
		switch {
		case fresh == 0:
		case q.cfg.Wakeups == 0:
			want = math.MaxInt
		default:
			want += fresh * (q.cfg.Wakeups - 1)
		}
		q.wakeUntil(f, want)
	}
	q.gathered = q.gathered[:0]
}

// scheduleRouse makes the next Rouse wake sleeping workers until f has a token for
// each of its ready jobs. Rouse takes no more steps for that than there were calls
// of PreSleep.
func (q *Queue) scheduleRouse(f *Function) {
	if !f.gathered {
		f.gathered = true
		q.gathered = append(q.gathered, f)
	}
}

// wakeReady makes the next Rouse wake workers for one job of f that became ready.
func (q *Queue) wakeReady(f *Function) {
	if !f.paused {
		f.fresh++
		q.scheduleRouse(f)
	}
}

// wakeUntil wakes sleeping workers until f has the given number of tokens.
func (q *Queue) wakeUntil(f *Function, tokens int) {
	for f.tokens < tokens {
		if !q.wakeOne(f) {
			return
		}
	}
}

// wakeOne wakes the worker that sleeps longest of one class of f, the classes
// in turn. It reports whether there was one.
func (q *Queue) wakeOne(f *Function) bool {
	if q.sleeping == 0 {
		return false
	}
	q.classifyRestless()
	for range f.classes {
		if f.cursor >= len(f.classes) {
			f.cursor = 0
		}
		c := f.classes[f.cursor].class
		f.cursor++
		if p := c.sleepers.head; p != nil {
			q.wakePeer(p, f)
			return true
		}
	}
	return false
}

// classifyRestless moves the sleepers whose abilities have changed into their
// classes. It wakes those with very many functions: PrepareClass makes their
// classes when they ask.
func (q *Queue) classifyRestless() {
	for p := q.restless.head; p != nil; p = q.restless.head {
		if q.needsPrivate(p) {
			q.wakePeer(p, p.firstAbility.function)
			continue
		}
		q.restless.removePeer(p)
		q.classOf(p).sleepers.pushBack(p)
	}
}

// wakePeer wakes the sleeping p for f.
func (q *Queue) wakePeer(p *Peer, f *Function) {
	q.markAwake(p)
	p.sleep, p.token, p.wokenAt = woken, f, q.now
	q.woken.pushBack(p)
	f.tokens++
	q.sink.Wake(p)
}

// markAwake makes p awake, without a NOOP, and returns the function whose token
// it had.
func (q *Queue) markAwake(p *Peer) *Function {
	if p.sleep == asleep {
		if p.class == nil {
			q.restless.removePeer(p)
		} else {
			p.class.sleepers.removePeer(p)
		}
		q.sleeping--
	}
	p.sleep = awake
	return q.removeToken(p)
}

// removeToken removes p's token, if it has one, and returns the token's function.
func (q *Queue) removeToken(p *Peer) *Function {
	f := p.token
	if f != nil {
		q.woken.removePeer(p)
		p.token = nil
		f.tokens--
	}
	return f
}

// passTokens passes on the tokens of woken workers that did not ask in time.
func (q *Queue) passTokens() {
	for range maxDue {
		p := q.woken.head
		if p == nil || p.wokenAt+q.cfg.WakeAfter > q.now {
			return
		}
		q.scheduleRouse(q.removeToken(p))
	}
}
