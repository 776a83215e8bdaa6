package queue

import (
	"bytes"
	"hash/maphash"
	"math"
)

// pageSize is the number of job numbers in a page of the index. A single job
// that lives long keeps its page of some 540 bytes.
const pageSize = 64

// jobIndex finds jobs by number and walks them in the order of their numbers.
// Because numbers only grow, a table of pages costs less than a map of jobs.
type jobIndex struct {
	seq      uint64 // the last number given
	n        int
	pages    map[uint64]*page
	numbers  numberSet // numbers of the pages
	recent   *page     // the page that got the last job; it may be empty
	newest   *page     // the newest page
	freePage *page     // the page dropped last, or nil
}

// page holds the jobs of pageSize numbers. The pages form a list in the order
// of their creation. Only the garbage collector follows it: it then visits
// neighbouring jobs together, which takes half of the time that the order of a
// map takes (BenchmarkSubmitBackground in pkg/server).
type page struct {
	number       uint64 // seq / pageSize
	n            int
	older, newer *page
	jobs         [pageSize]*Job
}

func (x *jobIndex) initPages(seq uint64) {
	x.seq = seq
	x.pages = make(map[uint64]*page)
	x.numbers.init()
}

func (x *jobIndex) job(seq uint64) *Job {
	p := x.pages[seq/pageSize]
	if p == nil {
		return nil
	}
	return p.jobs[seq%pageSize]
}

// addJob adds a job whose number is not in use.
func (x *jobIndex) addJob(j *Job) {
	p := x.page(j.seq / pageSize)
	p.jobs[j.seq%pageSize] = j
	p.n++
	x.n++
}

// page returns the page of that number, and creates it if needed.
func (x *jobIndex) page(number uint64) *page {
	if x.recent != nil && x.recent.number == number {
		return x.recent
	}
	p := x.pages[number]
	if p == nil {
		if p = x.freePage; p == nil {
			p = new(page)
		}
		x.freePage = nil
		p.number = number
		x.pages[number] = p
		x.numbers.add(number)
		if p.older = x.newest; p.older != nil {
			p.older.newer = p
		}
		x.newest = p
	}
	if x.recent != nil && x.recent.n == 0 {
		x.dropPage(x.recent)
	}
	x.recent = p
	return p
}

func (x *jobIndex) removeJob(j *Job) {
	p := x.pages[j.seq/pageSize]
	p.jobs[j.seq%pageSize] = nil
	p.n--
	x.n--
	if p.n == 0 && p != x.recent {
		x.dropPage(p)
	}
}

// dropPage forgets an empty page.
func (x *jobIndex) dropPage(p *page) {
	delete(x.pages, p.number)
	x.numbers.remove(p.number)
	if p.older != nil {
		p.older.newer = p.newer
	}
	if p.newer != nil {
		p.newer.older = p.older
	} else {
		x.newest = p.older
	}
	p.older, p.newer, x.freePage = nil, nil, p
}

// after calls yield for up to most jobs with higher numbers than seq, until
// it returns false. It returns the last number that it has shown, or seq, and
// whether there may be more. A step visits at most one page.
func (x *jobIndex) after(seq uint64, most int, yield func(*Job) bool) (last uint64, more bool) {
	if seq == math.MaxUint64 {
		return seq, false
	}
	from := seq + 1
	for number := from / pageSize; ; number++ {
		number, more = x.numbers.next(number)
		if !more {
			return seq, false
		}
		p := x.pages[number]
		for i := max(from, number*pageSize) % pageSize; i < pageSize; i++ {
			j := p.jobs[i]
			if j == nil {
				continue
			}
			if most == 0 {
				return seq, true
			}
			most--
			seq = j.seq
			if !yield(j) {
				return seq, true
			}
		}
		if number == math.MaxUint64/pageSize {
			return seq, false
		}
	}
}

// byPayload is the unique of submissions that coalesce on their payload.
const byPayload = "-"

// uniqueIndex finds jobs by function and unique. It maps a hash to the first job
// that has it; Job.sameHash links the others.
type uniqueIndex map[uint64]*Job

// uniqueHash returns the place of a submission in the index. A submission has
// none if its unique is empty, or "-" with an empty payload.
func (q *Queue) uniqueHash(f *Function, unique, payload []byte) (hash uint64, ok bool) {
	switch {
	case len(unique) == 0:
		return 0, false
	case string(unique) != byPayload:
		return maphash.Bytes(q.seed, unique) ^ f.salt, true
	case len(payload) == 0:
		return 0, false
	}
	return ^maphash.Bytes(q.seed, payload) ^ f.salt, true
}

// hashOf returns the place of j in the index. A job whose unique is "-" and
// that was restored without its payload has none.
func (q *Queue) hashOf(j *Job) (hash uint64, ok bool) {
	if j.is(spilled) && string(j.Unique()) == byPayload {
		return j.stub().hash()
	}
	return q.uniqueHash(j.function, j.Unique(), j.Payload())
}

// place is the place in the index of a submission or a job, and the first job
// in it. It is valid until the index changes.
type place struct {
	hash   uint64
	exists bool // false if it belongs nowhere
	first  *Job
}

func (q *Queue) place(hash uint64, ok bool) place {
	if !ok {
		return place{}
	}
	return place{hash: hash, exists: true, first: q.uniques[hash]}
}

// placeOf returns a submission's place.
func (q *Queue) placeOf(f *Function, unique, payload []byte) place {
	return q.place(q.uniqueHash(f, unique, payload))
}

// find returns the first job that a submission with that place coalesces with,
// or nil. It skips cancelled jobs, which are about to end; twin reports whether
// one of them has the same unique.
func (p place) find(f *Function, unique, payload []byte) (same *Job, twin bool) {
	for j := p.first; j != nil; j = j.sameHash() {
		if j.function != f || !bytes.Equal(j.Unique(), unique) {
			continue
		}
		if string(unique) == byPayload && !j.hasPayload(payload) {
			continue
		}
		if !j.is(cancelled) {
			return j, twin
		}
		twin = true
	}
	return nil, twin
}

// findUnique returns the first job that a submission coalesces with, or nil.
func (q *Queue) findUnique(f *Function, unique, payload []byte) *Job {
	j, _ := q.placeOf(f, unique, payload).find(f, unique, payload)
	return j
}

// addUnique adds j to its place, behind the others, so that a search finds the
// first of several jobs with one unique. Only restored jobs can share one.
func (q *Queue) addUnique(j *Job, p place) {
	if !p.exists {
		return
	}
	last := p.first
	if last == nil {
		q.uniques[p.hash] = j
		return
	}
	for last.sameHash() != nil {
		last = last.sameHash()
	}
	q.detailOf(last).sameHash = j
}

func (q *Queue) removeUnique(j *Job) {
	hash, ok := q.hashOf(j)
	if !ok {
		return
	}
	before := q.uniques[hash]
	switch {
	case before != j:
		for before.sameHash() != j {
			before = before.sameHash()
		}
		before.detail.sameHash = j.sameHash()
	case j.sameHash() != nil:
		q.uniques[hash] = j.sameHash()
	default:
		delete(q.uniques, hash)
	}
	if j.detail != nil {
		j.detail.sameHash = nil
	}
}

// sameHash returns the job behind j in its place of the index.
func (j *Job) sameHash() *Job {
	if j.detail == nil {
		return nil
	}
	return j.detail.sameHash
}
