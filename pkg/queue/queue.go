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

// maxHost is the maximum length of the host in a handle of 63 bytes: "H:", ":"
// and the 20 digits of the largest number take the rest.
const maxHost = 63 - len("H::") - 20

// maxName is the maximum length of a unique or a reducer in bytes.
const maxName = math.MaxUint16

var (
	// ErrFull is returned for a submission over its function's limit.
	ErrFull = errors.New("job queue is full")
	// ErrMemory is returned for a submission over Config.Memory. It wraps
	// ErrFull.
	ErrMemory = fmt.Errorf("%w: payloads exceed the memory limit", ErrFull)
	// ErrTooLong is returned for a unique or a reducer of more than 65535
	// bytes.
	ErrTooLong = errors.New("unique or reducer is longer than 65535 bytes")
	// ErrNoFunction is returned for a function that the queue does not know.
	ErrNoFunction = errors.New("function not found")
	// ErrInUse is returned for a function that has workers or jobs.
	ErrInUse = errors.New("function has workers or jobs")
	// ErrNotDead is returned for a dead letter that was dropped or retried.
	ErrNotDead = errors.New("job is not in the dead list")

	errNumberTaken = errors.New("number is already in use")
)

// Config has the settings of a queue, which never change.
type Config struct {
	// Host is part of handles: H:<host>:<seq>. It is cut so that a handle has
	// at most 63 bytes.
	Host string
	// Prefix replaces "H:" and Host in handles if it is not empty:
	// <prefix>:<seq>. It is cut like Host.
	Prefix string
	// FirstSeq is the first job's number less one. Set it above the numbers of
	// the last run if handles must not repeat after a restart; Restore raises
	// it above each number that it sees.
	FirstSeq uint64
	// JobRetries is the number of workers that may lose a job (gone, timed out,
	// given back) before it ends Exhausted; 0 means 1, -1 means no limit.
	// Failures are not counted, see Policy.
	JobRetries int
	// RoundRobin serves a worker's functions of one priority in turn, instead
	// of the one added last first.
	RoundRobin bool
	// Wakeups is the number of sleeping workers that Rouse wakes for a job that
	// has become ready; 0 means all of them.
	Wakeups int
	// WakeAfter is the time in milliseconds in which a woken worker must ask
	// for a job; after it the next one is woken; 0 means DefaultWakeAfter.
	WakeAfter int64

	// Rand spreads the waits of failed jobs, see Policy; nil means no spread.
	Rand func() uint64

	// DeadMax is the maximum number of dead letters of a function; 0 means that
	// the queue retains none.
	DeadMax int
	// DeadAge is the time in milliseconds after which dead letters are dropped;
	// 0 means no limit.
	DeadAge int64

	// ForgetAfter is the time in milliseconds after which unused functions are
	// forgotten; 0 means never. unused.go defines unused.
	ForgetAfter int64

	// Memory limits the bytes of payloads, uniques, reducers and error texts of
	// all jobs that do not run; 0 means no limit. memory.go has the rules.
	Memory int64
	// Total limits the bytes of all jobs, running ones included, plus JobCost
	// for each; 0 means no limit. A new job over it is refused, a background one
	// already over seven eighths of it.
	Total int64
	// Spill means that the journal can give payloads back, so that the queue
	// may drop the payloads of jobs that the journal has.
	Spill bool
}

// Sink receives the effects of the queue's calls on other connections. Its
// methods run inside the queue's methods and must not call the queue, except to
// read the job and the peer that they get.
type Sink interface {
	// Wake asks for a NOOP to p.
	Wake(p *Peer)
	// Requeued reports that j was taken from p and waits again. why is
	// WorkerLost, TimedOut, GivenBack or Failed. After Failed the job is
	// usually Delayed. The Attempts and RunAt in the journal are now out of
	// date.
	Requeued(j *Job, p *Peer, why Reason)
	// Ended reports that j leaves the queue. It is called once for each job,
	// except for those that Abort removes. At that time j still has its state,
	// worker and waiters.
	Ended(j *Job, why Reason)
}

// DeadLetterSink is a Sink that receives dead letters as well. The rules of Sink
// hold.
type DeadLetterSink interface {
	// DeadRetained reports that the queue retains j, whose end Ended has just
	// reported, as d.
	DeadRetained(d *DeadLetter, j *Job)
	// DeadDropped reports that d is no dead letter any more. It is not called when
	// RetryDeadLetter makes d a job of its own.
	DeadDropped(d *DeadLetter)
	// Withholding reports that the queue has begun or ceased to withhold spilled
	// jobs from workers, because dead letters that the journal does not have take
	// too much memory.
	Withholding(on bool)
}

// Queue is the whole state of a job server. It is not safe for concurrent use:
// its owner must lock it.
type Queue struct {
	cfg      Config
	handles  handles
	sink     Sink
	deadSink DeadLetterSink // sink, or nil
	seed     maphash.Seed
	now      int64 // the latest time that a caller has passed in
	wall     int64 // the wall clock minus now

	functions       functions
	running         int // jobs
	served          int // functions that have workers and ready jobs
	jobs            jobIndex
	uniques         uniqueIndex
	timers          timers            // timers of running and of failed jobs, by the monotonic clock
	dates           timers            // timers of jobs delayed to a date, by the wall clock
	classes         map[uint64]*class // shared classes by the hash of their functions
	sharedFunctions int               // the constant, except in tests

	// Sleeping workers stand in their class's list. Workers whose abilities
	// changed while they slept are in restless until the queue needs to wake
	// one.
	sleeping int // number of workers in all those lists
	restless peerList
	woken    peerList    // workers with a wake token, the oldest token first
	gathered []*Function // whose workers the next Rouse may have to wake

	// Jobs that are withheld, see withhold.go.
	withholding bool
	withheld    []*Function // with marked lists, among others

	foreground foregroundRing

	sweep  sweep
	notes  map[*Job]note
	memory memory

	dead      deadList // dead letters in the order of their deaths
	deadBySeq map[uint64]*DeadLetter
	retrying  map[*Job]*DeadLetter // held jobs that were dead letters

	loading bool
	before  uint64    // the last number given or seen before the loading
	movedUp *Function // the last function that EndLoading has finished

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
		cfg:             cfg,
		handles:         handles{prefix: prefix + ":"},
		sink:            sink,
		seed:            maphash.MakeSeed(),
		classes:         make(map[uint64]*class),
		sharedFunctions: sharedFunctions,
	}
	q.functions.byName = make(map[string]*Function)
	q.jobs.initPages(cfg.FirstSeq)
	q.uniques = make(uniqueIndex)
	q.notes = make(map[*Job]note)
	q.deadBySeq = make(map[uint64]*DeadLetter)
	q.retrying = make(map[*Job]*DeadLetter)
	q.deadSink, _ = sink.(DeadLetterSink)
	q.memory.setMarks(cfg.Memory)
	return q
}

// SetClocks sets both clocks: the time that calls pass as now, and the wall
// clock in Unix milliseconds. Until the next call the queue assumes that the
// wall clock advances with now.
func (q *Queue) SetClocks(now, wall int64) { q.now, q.wall = now, wall-now }

// Now returns the latest time that a call has passed in.
func (q *Queue) Now() int64 { return q.now }

// Wall returns the wall clock at the time of the last call, in Unix milliseconds.
func (q *Queue) Wall() int64 { return q.now + q.wall }

// Len returns the number of jobs in all states.
func (q *Queue) Len() int { return q.jobs.n }

// RaiseSeq makes the next job's number greater than seq.
func (q *Queue) RaiseSeq(seq uint64) { q.jobs.seq = max(q.jobs.seq, seq) }

// Lookup returns the job with that handle, or nil; see Number.
func (q *Queue) Lookup(handle []byte) *Job {
	seq, ok := q.Number(handle)
	if !ok {
		return nil
	}
	return q.jobs.job(seq)
}

func (q *Queue) appendHandle(dst []byte, seq uint64) []byte {
	return q.handles.append(dst, seq)
}

// Number returns the number in a handle. Only the number counts, as the queue's
// numbers are unique for ever: the text before the last colon names the server
// that gave the handle out, which may be an earlier server of this queue.
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
// unique and "-" name no job. It searches up to most functions after after,
// or from the first if after is nil, in the order of their creation; if there
// are more, it returns the last one that it has searched.
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
func (q *Queue) Has(seq uint64) bool { return q.jobs.job(seq) != nil }

// JobsAfter calls yield for up to most jobs with higher numbers than seq, in
// the order of Seq, until yield returns false. It returns the number to go on
// from, and whether there may be more. yield must not change the queue. Between
// two calls the queue may change; a job that is in it all the time is shown
// once.
func (q *Queue) JobsAfter(seq uint64, most int, yield func(*Job) bool) (last uint64, more bool) {
	return q.jobs.after(seq, most, yield)
}

// Jobs calls yield for each job, in the order of Seq, until it returns false.
// yield must not change the queue.
func (q *Queue) Jobs(yield func(*Job) bool) { q.jobs.after(0, math.MaxInt, yield) }

// Functions calls yield for each function, in the order of their creation,
// until it returns false. yield must not change the queue.
func (q *Queue) Functions(yield func(*Function) bool) { q.FunctionsAfter(nil, math.MaxInt, yield) }

// FunctionsAfter calls yield for up to most functions after after, or from
// the first if after is nil, in the order of their creation, until yield
// returns false. It returns the function to go on from, and whether there may
// be more. yield must not change the queue. Between two calls the queue may
// change, and after may have been dropped.
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

// Function returns the function of that name, or nil if the queue does not know
// it.
func (q *Queue) Function(name []byte) *Function { return q.functions.byName[string(name)] }
