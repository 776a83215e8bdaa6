package queue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
)

// Config.Memory limits the bytes of jobs that do not run, and of dead letters:
//
//	   ⅛             ¾     ⅞         all of it
//	├──┼─────────────┼─────┼─────────┤
//	   │             │     │         └ a fresh job that can't be spilled is refused
//	   │             │     └ Wanted and Loaded stop reading ahead
//	   │             └ the payloads of jobs that come to wait are dropped
//	   └ and those of jobs that come to be delayed, or to wait behind many
//
// So a backlog of any length leaves room for foreground jobs, and for the job
// structures, whose size grows with their number. The queue can drop the
// payloads of background jobs that the journal has, if it can give them back
// (Config.Spill). The rest of a spilled job is not counted. The queue does not
// refuse held jobs that will be spilled: their owner limits the bytes on their
// way to the journal. Nor does it refuse restored jobs, and jobs that return
// when their worker is lost. Dead letters hold a quarter at most: beyond it their
// payloads are dropped, or, without Spill, the oldest of them. Those that the
// journal does not have yet keep theirs; above a quarter they make the queue
// withhold spilled jobs (withhold.go).
type memory struct {
	bytes                        int64
	running                      int64 // bytes of running jobs, which are not in bytes
	spilled                      int   // jobs
	farMark, waitMark, aheadMark int64 // of the picture above
	dead                         int64 // the bytes of dead letters
	unstored                     int64 // of these, without those that the journal has
	maxDead                      int64
	next                         *Function // the first function of the next Wanted
}

// farBehind is the number of jobs of its function and priority before a job
// from which its payload is not needed soon.
const farBehind = 4096

func (m *memory) setMarks(bound int64) {
	if bound <= 0 {
		m.farMark, m.waitMark, m.aheadMark, m.maxDead = math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64
		return
	}
	m.farMark, m.waitMark, m.aheadMark, m.maxDead = bound/8, bound-bound/4, bound-bound/8, bound/4
}

// noRoom reports whether size more bytes exceed the limit.
func (q *Queue) noRoom(size int) bool {
	return q.cfg.Memory > 0 && q.memory.bytes+int64(size) > q.cfg.Memory
}

// JobCost is the approximate size of a job in bytes without its payload,
// unique, reducer and error text.
const JobCost = 256

// isFull reports whether another job of size bytes exceeds Config.Total. The
// last eighth is for foreground jobs.
func (q *Queue) isFull(size int, background bool) bool {
	total := q.cfg.Total
	if background {
		total -= total / 8
	}
	all := q.memory.bytes + q.memory.running + int64(q.jobs.n+1)*JobCost + int64(size)
	return q.cfg.Total > 0 && all > total
}

// cost returns the bytes that j counts while it does not run.
func (j *Job) cost() int64 {
	if j.is(spilled) {
		return 0
	}
	return int64(len(j.data))
}

// Spilled reports whether its payload is only in the journal.
func (j *Job) Spilled() bool { return j.is(spilled) }

// Size returns the length of the payload, spilled or not.
func (j *Job) Size() int {
	if j.is(spilled) {
		return j.stub().size()
	}
	return len(j.payloadOrStub())
}

// spillIfNeeded drops the payload of j, which has just begun to wait or to be
// delayed, if memory is short and j does not need it soon. It does nothing for
// other jobs.
func (q *Queue) spillIfNeeded(j *Job) {
	switch {
	case j.state != Waiting && j.state != Delayed || q.memory.bytes <= q.memory.farMark:
		return
	case q.memory.bytes > q.memory.waitMark:
		q.forgetNote(j)
	case !j.isFar():
		return
	}
	if q.cfg.Spill && j.is(stored) && !j.is(spilled) && j.Size() > 0 {
		q.spillJob(j)
	}
}

// isFar reports whether the waiting or delayed j will not run soon.
func (j *Job) isFar() bool {
	if j.state == Delayed {
		return true
	}
	l := &j.function.waiting[j.priority]
	if j.is(behind) {
		l = &j.function.behind[j.priority]
	}
	return l.n > farBehind && l.tail == j
}

// spillJob drops the payload of the waiting or delayed j.
func (q *Queue) spillJob(j *Job) {
	rest := j.data[j.Size():]
	s := newStub(j.Size(), len(rest))
	if string(j.Unique()) == byPayload {
		hash, _ := q.hashOf(j)
		s = newPrint(j.Payload(), hash, len(rest))
	}
	q.memory.bytes -= j.cost()
	j.data = append(s, rest...)
	j.mark(spilled, true)
	q.memory.spilled++
	if j.state == Waiting {
		j.function.spilled++
	}
}

// Loaded gives a spilled job its payload back and takes over the slice. A
// running or held job always gets it, a waiting or delayed one only if there is
// room to read ahead and no jobs are withheld. Loaded does nothing for other jobs.
// A running job whose payload is lost must end: call Note with the reason, then
// FailForGood.
func (q *Queue) Loaded(j *Job, payload []byte) {
	if !j.is(spilled) || j.state == Ended {
		return
	}
	rest := j.data[len(j.payloadOrStub()):]
	size := int64(len(payload) + len(rest))
	if (j.state == Waiting || j.state == Delayed) && (q.withholding || q.memory.bytes+size > q.memory.aheadMark) {
		return
	}
	again := string(j.Unique()) == byPayload && !j.hasPayload(payload)
	if again {
		q.removeUnique(j)
	}
	j.data = append(payload, rest...)
	j.mark(spilled, false)
	if again {
		q.addUnique(j, q.place(q.hashOf(j)))
	}
	q.memory.spilled--
	if j.state == Waiting {
		j.function.spilled--
	}
	if j.state == Running {
		q.memory.running += size
	} else {
		q.memory.bytes += size
	}
}

// LacksPrint reports whether j has the unique "-" and was restored without its
// payload, so that nothing joins it.
func (j *Job) LacksPrint() bool {
	if !j.is(spilled) || string(j.Unique()) != byPayload {
		return false
	}
	_, ok := j.stub().hash()
	return !ok
}

// SetPrint lets submissions with the unique "-" join a spilled job that
// LacksPrint. It compares later payloads with payload, which stays in the
// journal. It does nothing for other jobs.
func (q *Queue) SetPrint(j *Job, payload []byte) {
	if j.state == Ended || !j.LacksPrint() {
		return
	}
	rest := j.data[len(j.payloadOrStub()):]
	p := q.placeOf(j.function, j.Unique(), payload)
	j.data = append(newPrint(payload, p.hash, len(rest)), rest...)
	q.addUnique(j, p)
}

// Wanted calls yield for spilled jobs that workers will ask for next, so that the
// owner can read their payloads ahead: jobs among the first most of each priority,
// of functions that have workers. It ends when yield returns false, after most
// jobs, or when no more payloads would fit into memory; the next call begins with
// the next function. A job is shown again in each call until it is loaded. yield
// must not change the queue. Wanted takes a step for each function, at most
// wantedFunctions, and most steps for each priority of those with workers and
// spilled jobs.
func (q *Queue) Wanted(most int, yield func(*Job) bool) {
	if q.memory.spilled == 0 || most <= 0 || q.withholding {
		return
	}
	from := q.memory.next
	if from == nil {
		from = q.functions.first
	}
	w := wanted{most: most, left: most, room: q.memory.aheadMark - q.memory.bytes, yield: yield}
	f := from
	for range wantedFunctions {
		next := f.next
		if next == nil {
			next = q.functions.first
		}
		if f.spilled > 0 && f.workers > 0 && !f.paused && !w.showJobs(f) {
			q.memory.next = next
			return
		}
		if f = next; f == from {
			return
		}
	}
	q.memory.next = f
}

// wantedFunctions is the maximum number of functions that one call of Wanted
// visits.
const wantedFunctions = 1000

// wanted is one call of Wanted.
type wanted struct {
	most, left int
	room       int64
	yield      func(*Job) bool
}

// showJobs shows f's jobs and reports whether to go on.
func (w *wanted) showJobs(f *Function) bool {
	for p := range f.waiting {
		j := f.waiting[p].head
		for n := 0; n < w.most && j != nil; n++ {
			size := int64(j.Size() + int(j.uniqueLen) + int(j.reducerLen))
			if j.is(spilled) && size <= w.room {
				w.room -= size
				w.left--
				if !w.yield(j) || w.left == 0 {
					return false
				}
			}
			j = j.next
		}
	}
	return true
}

// stub replaces the payload of a spilled job: the size, and a print of the
// payload if the unique is "-".
type stub []byte

const (
	stubSize  = 8
	printSize = stubSize + 8 + sha256.Size // with the place in the unique index, and a digest
)

// newStub returns a stub with room for more bytes.
func newStub(size, more int) stub {
	return binary.LittleEndian.AppendUint64(make(stub, 0, stubSize+more), uint64(size))
}

// newPrint returns a stub with a print, and room for more bytes.
func newPrint(payload []byte, hash uint64, more int) stub {
	digest := sha256.Sum256(payload)
	s := make(stub, 0, printSize+more)
	s = binary.LittleEndian.AppendUint64(s, uint64(len(payload)))
	s = binary.LittleEndian.AppendUint64(s, hash)
	return append(s, digest[:]...)
}

func (j *Job) stub() stub { return j.payloadOrStub() }

func (s stub) size() int { return int(binary.LittleEndian.Uint64(s)) }

// hash returns the place in the unique index, if it is known.
func (s stub) hash() (hash uint64, ok bool) {
	if len(s) < printSize {
		return 0, false
	}
	return binary.LittleEndian.Uint64(s[stubSize:]), true
}

// hasPayload reports whether payload is known to be j's.
func (j *Job) hasPayload(payload []byte) bool {
	if !j.is(spilled) {
		return bytes.Equal(j.Payload(), payload)
	}
	s := j.stub()
	if len(s) < printSize || s.size() != len(payload) {
		return false
	}
	digest := sha256.Sum256(payload)
	return bytes.Equal(s[printSize-sha256.Size:], digest[:])
}
