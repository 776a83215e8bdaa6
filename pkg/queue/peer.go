package queue

import "math"

// Peer is one connection, as worker and as client.
type Peer struct {
	Owner any // the owner's value for the connection; the queue does not use it

	// abilities, the one added last first
	abilities                 map[*Function]*ability
	firstAbility, lastAbility *ability
	timeouts                  bool       // some ability has one
	class                     *class     // nil after a change
	classWork                 *classWork // nil if no work remains
	nextPosition              int        // the place where a round-robin grab goes on

	sleep      sleepState
	next, prev *Peer     // links of the list for its sleep state
	token      *Function // the function that it was woken for, until it asks
	wokenAt    int64

	jobs   jobList   // the jobs that it holds, in the order of its grabs
	walks  *PeerWalk // the first of the walks that read its functions and jobs
	waits  *waiter   // the first of its waits as client
	nwaits int
}

// sleepState is the sleep state of a worker.
type sleepState uint8

const (
	awake  sleepState = iota
	asleep            // in its class's sleepers, or among the restless
	woken             // was sent a NOOP and has not asked; with a token in Queue.woken
)

// ability is one function that a worker can do. A dropped ability keeps its link to
// the next one, for walks.
type ability struct {
	function   *Function // nil if it was dropped
	timeout    int64
	next, prev *ability
}

// NumFunctions returns the number of functions that the worker can do.
func (p *Peer) NumFunctions() int { return len(p.abilities) }

// Sleeping reports whether the worker sleeps and no NOOP is on its way.
func (p *Peer) Sleeping() bool { return p.sleep == asleep }

// NumJobs returns the number of jobs that the worker holds.
func (p *Peer) NumJobs() int { return p.jobs.n }

// NumWaits returns the number of results that it waits for as a client, one per
// submission.
func (p *Peer) NumWaits() int { return p.nwaits }

// NewPeer returns a peer for a connection. The queue learns of it from its
// first call; Remove forgets it.
func (q *Queue) NewPeer(owner any) *Peer { return &Peer{Owner: owner} }

// Remove forgets a peer whose connection is gone. As a worker it gets no more
// jobs and loses those that it has. As a client it no longer waits, and jobs
// that nobody else wants end. Remove takes up to most steps, one for each
// function, wait and job, and reports whether it must be called again.
func (q *Queue) Remove(now int64, p *Peer, most int) (more bool) {
	q.now = now
	token := q.markAwake(p)
	q.leaveClass(p)
	if token != nil {
		q.scheduleRouse(token)
	}
	most = q.emptyOldClass(p, most)
	for ; most > 0 && p.waits != nil; most-- {
		j := p.waits.job
		q.forgetWaiter(p.waits)
		if j.unwanted() && (j.state == Waiting || j.state == Delayed) {
			q.endJob(j, Abandoned)
		}
	}
	for ; most > 0 && p.lastAbility != nil; most-- {
		q.dropAbility(p, p.lastAbility)
	}
	for ; most > 0 && p.jobs.tail != nil; most-- {
		q.loseJob(p.jobs.tail, WorkerLost)
	}
	return p.classWork != nil || p.waits != nil || p.lastAbility != nil || p.jobs.tail != nil
}

// CanDo adds a function to the worker, before the functions that it has, as
// gearmand does. limit is the time limit in milliseconds for each of its jobs;
// 0 means none. If the worker has the function already, only the time limit
// changes.
func (q *Queue) CanDo(now int64, p *Peer, function []byte, timeout int64) {
	q.now = now
	f := q.functionOrNew(function)
	p.timeouts = p.timeouts || timeout > 0
	if a := p.abilities[f]; a != nil {
		a.timeout = timeout
		return
	}
	q.leaveClass(p)
	if p.abilities == nil {
		p.abilities = make(map[*Function]*ability)
	}
	a := &ability{function: f, timeout: timeout, next: p.firstAbility}
	if p.firstAbility == nil {
		p.lastAbility = a
	} else {
		p.firstAbility.prev = a
	}
	p.firstAbility = a
	p.abilities[f] = a
	f.addWorkers(1)
	if p.sleep == asleep && f.ready() > 0 {
		q.wakePeer(p, f)
	}
}

// CantDo removes a function from the worker. A running job of it goes on.
func (q *Queue) CantDo(p *Peer, function []byte) {
	f := q.functions.byName[string(function)]
	if f == nil {
		return
	}
	a := p.abilities[f]
	if a == nil {
		return
	}
	q.leaveClass(p)
	q.dropAbility(p, a)
	if p.token == f {
		q.removeToken(p)
		q.scheduleRouse(f)
	}
}

// dropAbility removes a from p, which is in no class.
func (q *Queue) dropAbility(p *Peer, a *ability) {
	if a.prev == nil {
		p.firstAbility = a.next
	} else {
		a.prev.next = a.next
	}
	if a.next == nil {
		p.lastAbility = a.prev
	} else {
		a.next.prev = a.prev
	}
	delete(p.abilities, a.function)
	a.function.addWorkers(-1)
	a.function = nil
}

// ResetAbilities removes all functions from the worker. Running jobs go on.
func (q *Queue) ResetAbilities(p *Peer) { q.DropAbilities(p, math.MaxInt) }

// DropAbilities is ResetAbilities for at most steps functions. It reports whether
// it must be called again.
func (q *Queue) DropAbilities(p *Peer, steps int) (more bool) {
	if p.firstAbility == nil {
		return false
	}
	q.leaveClass(p)
	steps = q.emptyOldClass(p, steps)
	for ; steps > 0 && p.lastAbility != nil; steps-- {
		q.dropAbility(p, p.lastAbility)
	}
	if p.lastAbility != nil {
		return true
	}
	p.abilities, p.timeouts = nil, false
	if f := q.removeToken(p); f != nil {
		q.scheduleRouse(f)
	}
	return false
}

// peerList is a list through next and prev of peers.
type peerList struct {
	head, tail *Peer
	n          int
}

func (l *peerList) pushBack(p *Peer) {
	p.prev, p.next = l.tail, nil
	if l.tail == nil {
		l.head = p
	} else {
		l.tail.next = p
	}
	l.tail = p
	l.n++
}

func (l *peerList) removePeer(p *Peer) {
	if p.prev == nil {
		l.head = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.tail = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.next, p.prev = nil, nil
	l.n--
}
