package queue

import (
	"strconv"

	"gm/pkg/wire"
)

// rank is the index of a priority in arrays, and its number in records: its
// position in the order of service.
type rank uint8

const (
	rankHigh rank = iota
	rankNormal
	rankLow

	priorities = 3
)

func rankOf(p wire.Priority) rank { return rank(p - wire.PriorityHigh) }

// priority returns the priority with this rank.
func (r rank) priority() wire.Priority { return wire.Priority(r) + wire.PriorityHigh }

// State is the state of a job; doc.go draws the transitions.
type State uint8

const (
	Held    State = iota // waits for the journal
	Delayed              // waits for its time
	Waiting              // waits for a worker
	Running              // a worker holds it
	Ended                // it has left the queue
)

func (s State) String() string {
	switch s {
	case Held:
		return "held"
	case Delayed:
		return "delayed"
	case Waiting:
		return "waiting"
	case Running:
		return "running"
	case Ended:
		return "ended"
	}
	return "state " + strconv.Itoa(int(s))
}

// Reason is the reason why a job ended or waits again.
type Reason uint8

const (
	Completed  Reason = iota // its worker has completed it
	Failed                   // its worker reported the failure; it may be retried
	Cancelled                // cancelled by an administrator
	Exhausted                // it lost as many workers as JobRetries allows
	Abandoned                // its last client left
	Purged                   // with all waiting jobs of its function
	WorkerLost               // its worker went away
	TimedOut                 // its worker took too long
	GivenBack                // its worker gave it back
)

func (r Reason) String() string {
	switch r {
	case Completed:
		return "completed"
	case Failed:
		return "failed"
	case Cancelled:
		return "cancelled"
	case Exhausted:
		return "retries exhausted"
	case Abandoned:
		return "abandoned"
	case Purged:
		return "purged"
	case WorkerLost:
		return "worker lost"
	case TimedOut:
		return "timed out"
	case GivenBack:
		return "given back"
	}
	return "reason " + strconv.Itoa(int(r))
}

// Job is one job. After its end it still has the values of its submission,
// except the time that it was delayed to, and nothing about its end.
type Job struct {
	seq        uint64
	function   *Function
	data       []byte // payload or stub, unique and reducer, in one allocation
	next, prev *Job   // links of the list for its state
	detail     *detail
	accepted   int64
	uniqueLen  uint16
	reducerLen uint16
	priority   rank
	state      State
	marks      marks
}

type marks uint16

const (
	background marks = 1 << iota // some submission was a background one
	promoting                    // became a background job, and the journal does not have it yet
	cancelled                    // cancelled while it ran
	journaled                    // for the server
	stored                       // the journal has it
	spilled                      // data begins with a stub in place of the payload
	noted                        // has an entry in Queue.notes
	behind                       // waits until the loading ends
	retrying                     // has an entry in Queue.retrying
	apart                        // was submitted while a cancelled job had its unique
	dated                        // its timer is in Queue.dates
	tagLow                       // for the server, as is the next field
	tagHigh
)

func (j *Job) is(m marks) bool { return j.marks&m != 0 }

func (j *Job) mark(m marks, on bool) {
	if on {
		j.marks |= m
	} else {
		j.marks &^= m
	}
}

// detail has the fields that a background job does not need while it only
// waits.
type detail struct {
	worker   *Peer
	waiters  *waiter // the first; its prevOfJob is the last
	nwaiters int32
	timer    int32 // place in the heap plus one
	failures int32 // attempts that its workers reported as failed
	losses   int32 // attempts that lost their worker or ran out of time
	started  int64
	runAt    int64
	num, den int64
	sameHash *Job // the next job in its place of the unique index
}

// Seq returns the job's number, which is unique for ever and grows in the
// order in which jobs are accepted.
func (j *Job) Seq() uint64 { return j.seq }

// AppendHandle appends H:<host>:<seq>.
func (j *Job) AppendHandle(dst []byte) []byte {
	return j.function.queue.appendHandle(dst, j.seq)
}

// Handle returns H:<host>:<seq>.
func (j *Job) Handle() string {
	var buf [64]byte
	return string(j.AppendHandle(buf[:0]))
}

// Function returns the job's function.
func (j *Job) Function() *Function { return j.function }

// Payload returns the workload, or nil if it is spilled. The caller must not
// change it.
func (j *Job) Payload() []byte {
	if j.is(spilled) {
		return nil
	}
	return j.payloadOrStub()
}

// payloadOrStub returns the bytes before the unique.
func (j *Job) payloadOrStub() []byte {
	n := len(j.data) - int(j.uniqueLen) - int(j.reducerLen)
	return j.data[:n:n]
}

// Unique returns the unique as its first client sent it; "-" stays "-". The
// caller must not change it.
func (j *Job) Unique() []byte {
	end := len(j.data) - int(j.reducerLen)
	return j.data[end-int(j.uniqueLen) : end : end]
}

// Reducer returns the reducer's name, empty if there is none. The caller must
// not change it.
func (j *Job) Reducer() []byte {
	end := len(j.data)
	return j.data[end-int(j.reducerLen) : end : end]
}

// Priority returns the priority of the first submission.
func (j *Job) Priority() wire.Priority { return j.priority.priority() }

// Background reports whether any submission was a background one. Such a job is
// never dropped because it has no clients.
func (j *Job) Background() bool { return j.is(background) }

// State returns the job's state.
func (j *Job) State() State { return j.state }

// Accepted returns the time of its submission, in Unix milliseconds.
func (j *Job) Accepted() int64 { return j.accepted }

// RunAt returns the time that it was or is delayed to, by its submission or
// after a failure, in Unix milliseconds; 0 if it was due when it came.
func (j *Job) RunAt() int64 {
	if j.detail == nil {
		return 0
	}
	return j.detail.runAt
}

// Attempts returns the number of attempts that did not complete: Failures plus Losses.
func (j *Job) Attempts() int { return j.Failures() + j.Losses() }

// Failures returns the number of attempts that its worker reported as failed.
func (j *Job) Failures() int {
	if j.detail == nil {
		return 0
	}
	return int(j.detail.failures)
}

// Losses returns the number of attempts that lost their worker, exceeded the time
// limit, or were given back.
func (j *Job) Losses() int {
	if j.detail == nil {
		return 0
	}
	return int(j.detail.losses)
}

// Worker returns the worker that holds the job, or nil.
func (j *Job) Worker() *Peer {
	if j.detail == nil {
		return nil
	}
	return j.detail.worker
}

// Started returns the time, as calls pass it in, at which its worker got the
// job, or 0 if it does not run.
func (j *Job) Started() int64 {
	if j.state != Running {
		return 0
	}
	return j.detail.started
}

// Status returns the last progress report of its worker, or 0/0.
func (j *Job) Status() (num, den int64) {
	if j.detail == nil {
		return 0, 0
	}
	return j.detail.num, j.detail.den
}

// NumWaiters returns the number of submissions that wait for its result.
func (j *Job) NumWaiters() int {
	if j.detail == nil {
		return 0
	}
	return int(j.detail.nwaiters)
}

// Waiters calls yield for the client of each submission that waits for the
// result, the oldest submission first, until it returns false. A client that submitted
// twice is listed twice. yield must not change the queue.
func (j *Job) Waiters(yield func(*Peer) bool) {
	if j.detail == nil || j.detail.waiters == nil {
		return
	}
	for w := j.detail.waiters; ; {
		if !yield(w.peer) {
			return
		}
		if w = w.nextOfJob; w == j.detail.waiters {
			return
		}
	}
}

// inQueue reports whether the job waits where workers can get it.
func (j *Job) inQueue() bool { return j.state == Waiting && !j.is(behind) }

// Ignored reports whether the job runs although nobody wants it any more: it was
// cancelled, or its last client left. If it loses its worker, it ends.
func (j *Job) Ignored() bool { return j.state == Running && (j.is(cancelled) || j.unwanted()) }

// unwanted reports whether nobody wants the job any more.
func (j *Job) unwanted() bool { return !j.is(background) && j.NumWaiters() == 0 }

// Journaled returns the mark that SetJournaled has set. The queue sets it for a
// restored job, and never reads it.
func (j *Job) Journaled() bool { return j.is(journaled) }

// SetJournaled sets the server's mark.
func (j *Job) SetJournaled(on bool) { j.mark(journaled, on) }

// Tag returns the number from 0 to 3 that SetTag has set, 0 at first. The queue
// does not read it.
func (j *Job) Tag() uint8 { return uint8(j.marks / tagLow & 3) }

// SetTag sets the server's number.
func (j *Job) SetTag(n uint8) {
	j.marks = j.marks&^(tagLow|tagHigh) | marks(n&3)*tagLow
}

// since returns the time when it began to wait for a worker.
func (j *Job) since() int64 { return max(j.accepted, j.RunAt()) }

// jobList is a list through next and prev of jobs.
type jobList struct {
	head, tail *Job
	n          int
}

func (l *jobList) pushBack(j *Job) {
	j.prev, j.next = l.tail, nil
	if l.tail == nil {
		l.head = j
	} else {
		l.tail.next = j
	}
	l.tail = j
	l.n++
}

func (l *jobList) pushFront(j *Job) {
	j.prev, j.next = nil, l.head
	if l.head == nil {
		l.tail = j
	} else {
		l.head.prev = j
	}
	l.head = j
	l.n++
}

func (l *jobList) removeJob(j *Job) {
	if j.prev == nil {
		l.head = j.next
	} else {
		j.prev.next = j.next
	}
	if j.next == nil {
		l.tail = j.prev
	} else {
		j.next.prev = j.prev
	}
	j.next, j.prev = nil, nil
	l.n--
}
