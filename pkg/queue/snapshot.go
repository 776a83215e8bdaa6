package queue

// Snapshot is the state of all functions, in the order of their creation.
type Snapshot []FunctionSnapshot

// FunctionSnapshot is the state of one function. It has the fields of
// wire.FunctionStats and can be converted to it.
type FunctionSnapshot struct {
	Function  string
	High      int // waiting, by priority
	Normal    int
	Low       int
	Delayed   int
	Running   int
	Workers   int
	Sleeping  int   // workers that sleep without a NOOP on its way
	OldestMS  int64 // since the oldest waiting job became ready
	Paused    bool
	MaxQueue  [3]int
	Submitted uint64 // accepted jobs, without restored ones
	Coalesced uint64 // submissions that joined one of them
	Completed uint64
	Failed    uint64 // ended Failed or Exhausted
	Retried   uint64 // returned to the queue after a lost worker or a failure
	Dead      int
	Policy    string // for jobs that fail, as Policy.String formats it; empty if they end
}

// Waiting returns the jobs that wait for a worker.
func (f *FunctionSnapshot) Waiting() int { return f.High + f.Normal + f.Low }

// Total returns the jobs as status counts them: waiting, delayed and running.
func (f *FunctionSnapshot) Total() int { return f.Waiting() + f.Delayed + f.Running }

// Snapshot returns the state of all functions. Held jobs are not in it. It
// takes a step for each function and class.
func (q *Queue) Snapshot(now int64) Snapshot {
	s, _, _ := q.SnapshotAfter(now, nil, len(q.functions.byName), make(Snapshot, 0, len(q.functions.byName)))
	return s
}

// SnapshotAfter appends to s the state of up to most functions after after,
// or from the first if after is nil. It returns the function to go on from, and
// whether there may be more.
func (q *Queue) SnapshotAfter(now int64, after *Function, most int, s Snapshot) (_ Snapshot, last *Function, more bool) {
	q.now = now
	q.classifyRestless()
	last, more = q.FunctionsAfter(after, most, func(f *Function) bool {
		s = append(s, f.snapshot(q.Wall()))
		return true
	})
	return s, last, more
}

func (f *Function) snapshot(wall int64) FunctionSnapshot {
	s := FunctionSnapshot{
		Function:  f.name,
		High:      f.waiting[rankHigh].n + f.behind[rankHigh].n,
		Normal:    f.waiting[rankNormal].n + f.behind[rankNormal].n,
		Low:       f.waiting[rankLow].n + f.behind[rankLow].n,
		Delayed:   f.delayed.n,
		Running:   f.running,
		Workers:   f.workers,
		Paused:    f.paused,
		MaxQueue:  f.limits,
		Submitted: f.counters.submitted,
		Coalesced: f.counters.coalesced,
		Completed: f.counters.completed,
		Failed:    f.counters.failed,
		Retried:   f.counters.retried,
		Dead:      f.dead.n,
	}
	if f.policy != nil {
		s.Policy = f.policy.String()
	}
	for _, m := range f.classes {
		s.Sleeping += m.class.sleepers.n
	}
	for i := range priorities {
		for _, j := range []*Job{f.waiting[i].head, f.behind[i].head} {
			if j != nil {
				s.OldestMS = max(s.OldestMS, wall-j.since())
			}
		}
	}
	return s
}

// Totals are sums over all functions.
type Totals struct {
	Jobs    int   // in all states
	Running int   // of Jobs
	Dead    int   // dead letters
	Spilled int   // of Jobs, without their payload
	Bytes   int64 // bytes held, as Config.Memory counts them
}

// Totals returns the sums in one step.
func (q *Queue) Totals() Totals {
	return Totals{Jobs: q.jobs.n, Running: q.running, Dead: q.dead.n, Spilled: q.memory.spilled, Bytes: q.memory.bytes}
}

// Ready reports whether there is a ready job that some worker can do.
func (q *Queue) Ready() bool { return q.served > 0 }
