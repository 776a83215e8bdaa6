package queue

import (
	"fmt"
	"hash/maphash"
)

// Function is a name that jobs ask for and workers can do. The queue creates it
// when it is first named, and keeps it until it is dropped or unused for long.
// A dropped function keeps its link to the next one, for callers that walk all
// functions.
type Function struct {
	queue      *Queue
	name       string
	id         uint64 // never used again
	salt       uint64 // seed of its jobs' places in the unique index
	next, prev *Function

	waiting    [priorities]jobList
	behind     [priorities]jobList // waiting for the end of the loading
	delayed    jobList
	running    int
	total      int // in any state, held ones too
	spilled    int // waiting jobs, those in behind too
	limits     [priorities]int
	paused     bool
	withheld   [priorities]bool // withhold.go explains the mark
	dropped    bool
	created    bool // created by an administrator
	inWithheld bool // it is in Queue.withheld
	use        use
	policy     *Policy
	dead       deadList

	workers int      // peers that can do it
	served  bool     // it has workers and ready jobs
	classes []member // their classes
	cursor  int      // the class to wake next
	tokens  int      // workers woken for it that have not asked yet

	gathered bool // it is in Queue.gathered
	fresh    int  // jobs that became ready since Rouse

	foreground foregroundLinks

	counters counters
}

// The counters start at 0 with the queue.
type counters struct {
	submitted, coalesced, completed, failed, retried uint64
}

// Name returns the function's name.
func (f *Function) Name() string { return f.name }

// Paused reports whether workers get none of its jobs.
func (f *Function) Paused() bool { return f.paused }

// Limits returns the limits for high, normal and low submissions; 0 means
// no limit.
func (f *Function) Limits() [3]int { return f.limits }

// Policy returns the policy for its jobs that fail, or nil if they end. The
// caller must not change it.
func (f *Function) Policy() *Policy { return f.policy }

// NumDeadLetters returns the number of its dead letters.
func (f *Function) NumDeadLetters() int { return f.dead.n }

// Workers returns the number of workers that can do it.
func (f *Function) Workers() int { return f.workers }

// ready returns the number of jobs that workers could get now.
func (f *Function) ready() int {
	if f.paused {
		return 0
	}
	n := f.numWaiting()
	if f.inWithheld {
		n -= f.numWithheld()
	}
	return n
}

func (f *Function) numWaiting() int {
	return f.waiting[rankHigh].n + f.waiting[rankNormal].n + f.waiting[rankLow].n
}

// full reports whether a new job of that priority would exceed the limit. As in
// gearmand, the limit of one priority is compared with the jobs of all
// priorities, running ones included.
func (f *Function) full(r rank) bool {
	return f.limits[r] > 0 && f.total >= f.limits[r]
}

// functions is a list in the order of creation, with a map by name.
type functions struct {
	first, last *Function
	byName      map[string]*Function
	recent      *Function // the function found last, or nil: many jobs in a row share one
	id          uint64
}

func (q *Queue) findFunction(name []byte) (*Function, error) {
	if f := q.functions.byName[string(name)]; f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrNoFunction, name)
}

// functionOrNew returns the function of that name, and creates it if needed.
func (q *Queue) functionOrNew(name []byte) *Function {
	x := &q.functions
	if f := x.recent; f != nil && f.name == string(name) {
		f.use.n++
		return f
	}
	if f := x.byName[string(name)]; f != nil {
		f.use.n++
		x.recent = f
		return f
	}
	x.id++
	f := &Function{queue: q, name: string(name), id: x.id, prev: x.last}
	f.salt = maphash.String(q.seed, f.name)
	f.use.since = q.now
	if x.last == nil {
		x.first = f
	} else {
		x.last.next = f
	}
	x.last = f
	x.byName[f.name] = f
	return f
}

// Create creates the function if the queue does not know it, and keeps it until
// it is dropped.
func (q *Queue) Create(function []byte) { q.functionOrNew(function).created = true }

// Idle returns an ErrInUse with the name if the function has workers, running
// jobs, jobs on their way to the journal, or dead letters, and an ErrNoFunction if
// it is unknown. An idle function can be dropped after a purge.
func (q *Queue) Idle(function []byte) error {
	f, err := q.findFunction(function)
	if err != nil {
		return err
	}
	purgeable := f.numWaiting() + f.behind[rankHigh].n + f.behind[rankNormal].n + f.behind[rankLow].n + f.delayed.n
	if f.workers > 0 || f.dead.n > 0 || f.total > purgeable {
		return fmt.Errorf("%w: %q", ErrInUse, function)
	}
	return nil
}

// Drop forgets a function that has no workers, no jobs and no dead letters. It
// returns an ErrNoFunction or ErrInUse with the name.
func (q *Queue) Drop(function []byte) error {
	f, err := q.findFunction(function)
	if err != nil {
		return err
	}
	if f.workers > 0 || f.total > 0 || f.dead.n > 0 {
		return fmt.Errorf("%w: %q", ErrInUse, function)
	}
	q.unlinkFunction(f)
	return nil
}

// unlinkFunction forgets a function that nobody uses.
func (q *Queue) unlinkFunction(f *Function) {
	x := &q.functions
	if f.prev == nil {
		x.first = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next == nil {
		x.last = f.prev
	} else {
		f.next.prev = f.prev
	}
	if q.memory.next == f {
		q.memory.next = f.next
	}
	if x.recent == f {
		x.recent = nil
	}
	f.prev, f.dropped = nil, true
	delete(x.byName, f.name)
}

// SetLimits bounds the jobs of a function, waiting, delayed and running
// together, for submissions of high, normal and low priority; 0 means no limit. It
// creates the function if needed, so that a limit can be set before the first
// job. Existing jobs above the limit stay.
func (q *Queue) SetLimits(function []byte, limits [3]int) {
	q.functionOrNew(function).limits = limits
}

// Pause withholds the function's waiting jobs from workers, or releases them
// again. Running jobs go on.
func (q *Queue) Pause(now int64, function []byte, paused bool) error {
	q.now = now
	f, err := q.findFunction(function)
	if err != nil {
		return err
	}
	if f.paused == paused {
		return nil
	}
	f.paused = paused
	for p := range f.waiting {
		if f.waiting[p].n > 0 && !f.withheld[p] {
			f.setReady(rank(p), !paused)
		}
	}
	f.listForeground()
	q.scheduleRouse(f)
	return nil
}

// Purge ends up to most waiting and delayed jobs of the function, and returns
// how many. It leaves jobs with a higher number than last, and jobs that wait
// behind one of these. Held and running jobs stay. To purge all jobs up to
// LastSeq, call it until it returns less than most.
func (q *Queue) Purge(now int64, function []byte, last uint64, most int) (n int, err error) {
	q.now = now
	f, err := q.findFunction(function)
	if err != nil {
		return 0, err
	}
	purge := func(l *jobList) {
		for ; l.head != nil && l.head.seq <= last && n < most; n++ {
			q.endJob(l.head, Purged)
		}
	}
	for p := range priorities {
		purge(&f.waiting[p])
		purge(&f.behind[p])
	}
	purge(&f.delayed)
	return n, nil
}
