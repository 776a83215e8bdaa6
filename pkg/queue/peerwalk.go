package queue

// PeerWalk reads the functions and the jobs of a peer in steps, because there may be
// a million of them. The queue may change between two steps: a function or job that
// comes or goes meanwhile may be read or not. [Peer.BeginWalk] begins a walk, and
// [PeerWalk.End] ends it.
type PeerWalk struct {
	peer    *Peer
	ability *ability // the next one; nil after the last
	job     *Job     // the next one; nil after the last
	jobs    int      // that may still be read: no more than there were at the beginning

	next *PeerWalk // the next walk in Peer.walks
}

// BeginWalk begins the walk w of the peer.
func (p *Peer) BeginWalk(w *PeerWalk) {
	*w = PeerWalk{peer: p, ability: p.firstAbility, job: p.jobs.head, jobs: p.jobs.n, next: p.walks}
	p.walks = w
}

// End ends the walk.
func (w *PeerWalk) End() {
	at := &w.peer.walks
	for *at != w {
		at = &(*at).next
	}
	*at = w.next
	*w = PeerWalk{}
}

// Functions appends the names of the worker's next functions to names, in the order
// of Grab: the one that it added last comes first. It takes at most most steps and
// returns their number, which is less than most after the last function.
func (w *PeerWalk) Functions(names []string, most int) (_ []string, steps int) {
	for ; steps < most && w.ability != nil; steps++ {
		if f := w.ability.function; f != nil {
			names = append(names, f.name)
		}
		w.ability = w.ability.next
	}
	return names, steps
}

// Jobs calls read for the next jobs that the worker holds, in the order in which it
// got them. It takes at most most steps and returns their number, which is less than
// most after the last job. read must not change the queue.
func (w *PeerWalk) Jobs(most int, read func(*Job)) (steps int) {
	for ; steps < most && w.job != nil && w.jobs > 0; steps++ {
		read(w.job)
		w.job = w.job.next
		w.jobs--
	}
	return steps
}

// skipJob moves the walks of the peer on from a job that the peer is about to lose.
func (p *Peer) skipJob(j *Job) {
	for w := p.walks; w != nil; w = w.next {
		if w.job == j {
			w.job = j.next
		}
	}
}
