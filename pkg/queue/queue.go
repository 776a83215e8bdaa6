package queue

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
)

// DefaultWakeAfter is the WakeAfter of a Config that has none, in milliseconds.
const DefaultWakeAfter = 50

// maxHost is what a handle of 63 bytes leaves for the host: "H:", ":" and the
// 20 digits of the largest number take the rest.
const maxHost = 63 - len("H::") - 20

// maxName is how long a unique or a reducer can be.
const maxName = math.MaxUint16

var (
	// ErrFull is returned for a submission over its function's limit.
	ErrFull = errors.New("job queue is full")
	// ErrMemory is the ErrFull of a submission over Config.Memory.
	ErrMemory = fmt.Errorf("%w: payloads take all the memory that they may", ErrFull)
	// ErrTooLong is returned for a unique or a reducer that no job can have.
	ErrTooLong = errors.New("unique or reducer is longer than 65535 bytes")
	// ErrNoFunction is returned for a function that the queue does not know.
	ErrNoFunction = errors.New("function not found")
	// ErrInUse is returned for a function that has workers or jobs.
	ErrInUse = errors.New("function has workers or jobs")
	// ErrNotDead is returned for a job that is not in the dead list any more.
	ErrNotDead = errors.New("job is not in the dead list")

	errNumberTaken = errors.New("there is one with that number")
)

// Config is what a queue is told once.
type Config struct {
	// Host stands in handles: H:<host>:<seq>. What makes a handle longer
	// than 63 bytes is cut off.
	Host string
	// Prefix stands in handles instead of "H:" and Host, if it is not empty:
	// <prefix>:<seq>. It is cut off like Host.
	Prefix string
	// FirstSeq is the first job's number less one. Who wants handles that
	// do not repeat after a restart starts above the last run's numbers;
	// Restore raises it above each number that it sees.
	FirstSeq uint64
	// JobRetries is how many workers may have a job and lose it (gone, timed out,
	// given back) before it ends Exhausted; 0 is as 1, -1 is no end. Failures are
	// not counted, see Policy.
	JobRetries int
	// RoundRobin serves a worker's functions of one priority in turn, and
	// not the one first that the worker added last.
	RoundRobin bool
	// Wakeups is how many sleeping workers are woken for a job that becomes
	// ready; 0 is all of them.
	Wakeups int
	// Gather leaves it to Rouse to wake for a job that became ready, and not
	// for one that is gone by then. Its owner calls it at the end of each turn.
	Gather bool
	// WakeAfter is how many milliseconds a woken worker has to ask before
	// the next one is woken; 0 is DefaultWakeAfter.
	WakeAfter int64

	// Rand spreads the waits of failed jobs, see Policy. nil is no spread.
	Rand func() uint64

	// DeadMax is how many dead jobs of a function are kept; 0 is no dead list.
	DeadMax int
	// DeadAge is for how many milliseconds they are kept; 0 is no bound.
	DeadAge int64

	// ForgetAfter is for how many milliseconds functions are kept that nobody uses;
	// 0 is without end. unused.go says which.
	ForgetAfter int64

	// Memory bounds the bytes of payloads, uniques, reducers and error texts
	// that jobs hold which do not run; 0 is no bound. memory.go has the rules.
	Memory int64
	// Total bounds the bytes of all jobs, also of those that run, with JobCost for
	// each; 0 is no bound. A fresh job over it is refused, a background one over
	// seven eighths.
	Total int64
	// Spill says that the journal gives payloads back, so that jobs that it
	// has can do without theirs.
	Spill bool
}

// Sink takes what a call of the queue owes to others. Its methods run in the
// middle of the queue's and must not call back into it, but for reading the
// job and the peer that they are given.
type Sink interface {
	// Wake asks for a NOOP to p.
	Wake(p *Peer)
	// Requeued tells that j was taken from p and waits again. why is
	// WorkerLost, TimedOut, GivenBack or Failed. After a Failed it is, as a
	// rule, Delayed. The journal's Attempts and RunAt are out of date now.
	Requeued(j *Job, p *Peer, why Reason)
	// Ended tells that j leaves the queue. It is called once for each job,
	// but for those that Abort takes away, and before anything is
	// forgotten: j's state, worker and waiters are as they were.
	Ended(j *Job, why Reason)
}

// Undertaker is a Sink that keeps dead jobs as well. The rules of Sink hold.
type Undertaker interface {
	// Buried tells that j, whose end was told just before, is in the dead
	// list as d.
	Buried(d *Dead, j *Job)
	// Forgotten tells that d has left the dead list, but for its Revive as a
	// job of its own.
	Forgotten(d *Dead)
}

// Queue is the whole state of a job server. It is not safe for concurrent
// use: its owner guards it.
type Queue struct {
	cfg    Config
	prefix string // of every handle: "H:<host>:"
	sink   Sink
	dig    Undertaker // sink, or nil
	seed   maphash.Seed
	now    int64 // the latest time that a caller has passed in
	wall   int64 // the wall clock less now

	functions functions
	running   int // jobs
	served    int // functions that have workers and ready jobs
	jobs      jobIndex
	uniques   uniqueIndex
	timers    timers            // of running jobs and of those that failed, by now
	dates     timers            // of jobs that are delayed to a date, by the wall clock
	classes   map[uint64]*class // by the hash of their functions

	// Sleeping workers stand in their class's list. Those whose abilities
	// changed in their sleep stand in restless until somebody needs them.
	sleeping int // in all those lists
	restless peerList
	woken    peerList // with a wake token, longest ago first
	gathered []*Function

	sweep  sweep
	notes  map[*Job]note
	memory memory

	dead     deadList // in the order of their deaths
	graves   map[uint64]*Dead
	reviving map[*Job]*Dead // held jobs that were dead

	loading bool
	before  uint64    // the last number given or seen before the loading
	movedUp *Function // the last one that EndLoading is done with

	details pool[detail]
	waiters pool[waiter]
}

// New returns an empty queue that reports to sink.
func New(cfg Config, sink Sink) *Queue {
	if cfg.WakeAfter <= 0 {
		cfg.WakeAfter = DefaultWakeAfter
	}
	cfg.Wakeups = max(cfg.Wakeups, 0)
	prefix := cfg.Prefix
	if prefix == "" {
		prefix = "H:" + cfg.Host
	}
	prefix = prefix[:min(len(prefix), len("H:")+maxHost)]
	q := &Queue{
		cfg:     cfg,
		prefix:  prefix + ":",
		sink:    sink,
		seed:    maphash.MakeSeed(),
		classes: make(map[uint64]*class),
	}
	q.functions.byName = make(map[string]*Function)
	q.jobs.init(cfg.FirstSeq)
	q.uniques = make(uniqueIndex)
	q.notes = make(map[*Job]note)
	q.graves = make(map[uint64]*Dead)
	q.reviving = make(map[*Job]*Dead)
	q.dig, _ = sink.(Undertaker)
	q.memory.init(cfg.Memory)
	return q
}

// SetClocks tells the queue both clocks: the time that calls pass as now, and
// the wall clock in Unix milliseconds. Until the next call the queue takes the
// wall clock to run as now does.
func (q *Queue) SetClocks(now, wall int64) { q.now, q.wall = now, wall-now }

// Now returns the latest time that a call has passed in.
func (q *Queue) Now() int64 { return q.now }

// Wall returns the wall clock at the time of the last call, in Unix milliseconds.
func (q *Queue) Wall() int64 { return q.now + q.wall }

// Len returns the number of jobs, in whatever state.
func (q *Queue) Len() int { return q.jobs.n }

// RaiseSeq has the next job get a number above seq.
func (q *Queue) RaiseSeq(seq uint64) { q.jobs.seq = max(q.jobs.seq, seq) }

// Lookup returns the job with that handle, or nil; see Number.
func (q *Queue) Lookup(handle []byte) *Job {
	seq, ok := q.Number(handle)
	if !ok {
		return nil
	}
	return q.jobs.get(seq)
}

func (q *Queue) appendHandle(dst []byte, seq uint64) []byte {
	return strconv.AppendUint(append(dst, q.prefix...), seq, 10)
}

// Number returns the number in a handle. Only the number counts, as the queue's
// numbers are unique for ever: what stands before the last colon says which server
// gave the handle out, and servers may have had the queue before this one.
func (q *Queue) Number(handle []byte) (seq uint64, ok bool) {
	digits := handle[bytes.LastIndexByte(handle, ':')+1:]
	if len(digits) == len(handle) || len(digits) == 0 || digits[0] == '0' || digits[0] == '+' {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	return seq, err == nil
}

// ByUnique returns the job that a submission to some function would join for
// its unique, the oldest of those of several functions, or nil. The empty
// unique and "-" name no job. It asks most functions behind after, nil for the
// first, in the order of their creation; if there are more it returns the last
// one that it has asked.
func (q *Queue) ByUnique(unique []byte, after *Function, most int) (oldest *Job, last *Function) {
	if len(unique) == 0 || string(unique) == byPayload {
		return nil, nil
	}
	f := q.functions.first
	if after != nil {
		f = after.next
	}
	for ; f != nil; f = f.next {
		if most <= 0 {
			return oldest, last
		}
		most--
		last = f
		if f.total == 0 {
			continue
		}
		j := q.findUnique(f, unique, nil)
		if j != nil && (oldest == nil || j.seq < oldest.seq) {
			oldest = j
		}
	}
	return oldest, nil
}

// LastSeq returns the highest number that a job has or had.
func (q *Queue) LastSeq() uint64 { return q.jobs.seq }

// Has reports whether there is a job with that number.
func (q *Queue) Has(seq uint64) bool { return q.jobs.get(seq) != nil }

// JobsAfter calls yield for jobs with higher numbers than seq, in the order of
// Seq: most of them at most, and until yield returns false. It returns the
// number to go on from, and whether there may be more. yield must not change
// the queue; between two calls it may change, and a job that is there all the
// time is shown once.
func (q *Queue) JobsAfter(seq uint64, most int, yield func(*Job) bool) (last uint64, more bool) {
	return q.jobs.after(seq, most, yield)
}

// Jobs calls yield for each job, in the order of Seq, until it returns false.
// yield must not change the queue.
func (q *Queue) Jobs(yield func(*Job) bool) { q.jobs.after(0, math.MaxInt, yield) }

// Functions calls yield for each function, in the order of their creation,
// until it returns false. yield must not change the queue.
func (q *Queue) Functions(yield func(*Function) bool) { q.FunctionsAfter(nil, math.MaxInt, yield) }

// FunctionsAfter calls yield for the functions behind after, in the order of
// their creation, the first ones if after is nil: most of them at most, and until
// yield returns false. It returns the function to go on from, and whether there
// may be more. yield must not change the queue; between two calls it may change,
// and after may have been dropped.
func (q *Queue) FunctionsAfter(after *Function, most int, yield func(*Function) bool) (last *Function, more bool) {
	f := q.functions.first
	if after != nil {
		f = after.next
	}
	for ; f != nil; f = f.next {
		if most <= 0 {
			return after, true
		}
		most--
		after = f
		if !f.dropped && !yield(f) {
			return after, true
		}
	}
	return after, false
}

// Function returns the function of that name, nil if the queue does not know it.
func (q *Queue) Function(name []byte) *Function { return q.functions.byName[string(name)] }
