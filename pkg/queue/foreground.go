package queue

// A server with a store that shuts down leaves background jobs to its next
// start. It still hands out foreground jobs, which would be lost. It also hands
// out foreground jobs while the store cannot give payloads back.

const (
	// maxPassedOver is the maximum number of background jobs that a search for a
	// foreground job skips in each list, so that a long queue does not delay other
	// calls.
	maxPassedOver = 4096
	// maxForegroundFunctions is the maximum number of functions that a search for
	// a foreground job visits. The next search begins with the others.
	maxForegroundFunctions = 100
)

// foregroundLinks are the fields of a function that foregroundRing uses.
type foregroundLinks struct {
	jobs       int // waiting foreground jobs, without those in Function.behind
	next, prev *Function
}

// foregroundRing is a ring of the functions that have workers and waiting
// foreground jobs and are not paused.
type foregroundRing struct {
	first *Function // nil in an empty ring
	n     int
}

// countForeground adds n to the number of waiting foreground jobs of f.
func (f *Function) countForeground(n int) {
	before := f.foreground.jobs
	f.foreground.jobs += n
	if before == 0 || f.foreground.jobs == 0 {
		f.listForeground()
	}
}

// listForeground adds f to the ring or removes it, if that has become necessary.
func (f *Function) listForeground() {
	has := f.foreground.jobs > 0 && f.workers > 0 && !f.paused
	switch listed := f.foreground.next != nil; {
	case listed == has:
	case has:
		f.queue.foreground.insertLast(f)
	default:
		f.queue.foreground.removeFunction(f)
	}
}

// insertLast inserts f before the first function, which makes f the last one.
func (r *foregroundRing) insertLast(f *Function) {
	r.n++
	if r.first == nil {
		r.first, f.foreground.next, f.foreground.prev = f, f, f
		return
	}
	next, prev := r.first, r.first.foreground.prev
	f.foreground.next, f.foreground.prev = next, prev
	prev.foreground.next, next.foreground.prev = f, f
}

func (r *foregroundRing) removeFunction(f *Function) {
	next, prev := f.foreground.next, f.foreground.prev
	prev.foreground.next, next.foreground.prev = next, prev
	if r.first == f {
		r.first = next
	}
	if r.n--; r.n == 0 {
		r.first = nil
	}
	f.foreground.next, f.foreground.prev = nil, nil
}

// visit calls yield for functions of the ring until it returns false, for
// maxForegroundFunctions of them at most. The next visit begins behind the last
// one.
func (r *foregroundRing) visit(yield func(*Function) bool) {
	for range min(r.n, maxForegroundFunctions) {
		f := r.first
		r.first = f.foreground.next
		if !yield(f) {
			return
		}
	}
}

// GrabForeground is Grab for foreground jobs only. It does not find a job that
// waits behind some thousand background jobs. A worker with more than
// maxForegroundFunctions functions may find a job only in one of the next calls,
// and gets jobs of one priority in no particular order.
func (q *Queue) GrabForeground(now int64, p *Peer) *Job {
	q.now = now
	token := q.markAwake(p)
	j := q.firstForeground(p)
	if j != nil {
		q.dequeueJob(j)
		q.assignJob(j, p)
	}
	if token != nil {
		q.scheduleRouse(token)
	}
	return j
}

// firstForeground returns the job that GrabForeground gives to p.
func (q *Queue) firstForeground(p *Peer) (first *Job) {
	if q.foreground.n == 0 {
		return nil
	}
	if len(p.abilities) <= maxForegroundFunctions {
		for r := range rank(priorities) {
			for a := p.firstAbility; a != nil; a = a.next {
				if j := a.function.firstForeground(r); j != nil {
					return j
				}
			}
		}
		return nil
	}
	q.foreground.visit(func(f *Function) bool {
		if p.abilities[f] == nil {
			return true
		}
		for r := rankHigh; r < priorities && (first == nil || r < first.priority); r++ {
			if j := f.firstForeground(r); j != nil {
				first = j
			}
		}
		return first == nil || first.priority > rankHigh
	})
	return first
}

// ReadyForeground reports whether GrabForeground would find a ready foreground
// job for some worker.
func (q *Queue) ReadyForeground() bool {
	found := false
	q.foreground.visit(func(f *Function) bool {
		for r := range rank(priorities) {
			found = found || f.firstForeground(r) != nil
		}
		return !found
	})
	return found
}

// firstForeground returns the first foreground job of a priority that is ready.
func (f *Function) firstForeground(r rank) *Job {
	if f.paused || f.foreground.jobs == 0 {
		return nil
	}
	passed := 0
	for j := f.waiting[r].head; j != nil && passed < maxPassedOver; j = j.next {
		if !j.is(background) {
			return j
		}
		passed++
	}
	return nil
}
