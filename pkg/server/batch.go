package server

import (
	"gm/pkg/queue"
	"gm/pkg/store"
)

const (
	// maxBatchOps and maxBatchBytes bound a batch. One operation, or the few
	// that belong to the end of one job, may be larger and are a batch alone.
	maxBatchOps   = 8192
	maxBatchBytes = 8 << 20
	// opCost is about what an operation takes in a store besides its bytes.
	opCost = 64
)

// batch is a list of operations that go to the store together, with the
// submitters and followers that wait for them. Server.mu guards it; the
// committer reads ops of the batch in flight without the lock.
type batch struct {
	n       uint64 // batches are numbered in order
	ops     []store.Op
	size    int              // of all bytes in ops
	records [][]store.Record // room for those of ops, in chunks
	adds    []*queue.Job     // the jobs that ops adds, in the order of ops
	riders  []rider
	deaths  []*queue.Dead
	waiting []submitter
	after   []follower

	nrecords    int    // records in use
	first, last uint64 // numbers of the fresh jobs in adds, 0 if there are none
}

// submitter is a submission that waits for its job's batch: a parked request.
type submitter struct {
	c   *conn
	n   uint64
	job *queue.Job
}

// follower is called, under the lock, when its batch is settled: with the
// error of its job's Add, of one of its own operations, or of the store.
type follower struct {
	job *queue.Job // or nil
	ops []string   // names of operations
	f   func(now int64, err error)
}

// rider is a foreground job that its client sent behind jobs in the batch. It
// becomes ready with them, whatever becomes of the batch.
type rider struct {
	job *queue.Job
	at  int // how many of adds come before it
}

// empty reports whether the batch has nothing to do.
func (b *batch) empty() bool { return len(b.ops) == 0 && !b.awaited() && len(b.riders) == 0 }

// isRest reports whether the batch is a part of committer.rest, in a batch of its
// own: those have no number.
func (b *batch) isRest() bool { return b.n == 0 }

// awaited reports whether anybody waits for the batch.
func (b *batch) awaited() bool { return len(b.waiting) > 0 || len(b.after) > 0 }

// hasRoom reports whether an operation of size bytes fits.
func (b *batch) hasRoom(size int) bool {
	return len(b.ops) == 0 || len(b.ops) < maxBatchOps && b.size+size <= maxBatchBytes
}

const (
	// keepOps is the room for operations that a batch keeps for the next.
	keepOps = 8192
	// recordChunk is how many records are allocated together.
	recordChunk = 256
)

// appendRecord appends an operation of a job and returns its record.
func (b *batch) appendRecord(kind store.Kind) *store.Record {
	at, in := b.nrecords/recordChunk, b.nrecords%recordChunk
	if at == len(b.records) {
		b.records = append(b.records, make([]store.Record, recordChunk))
	}
	b.nrecords++
	r := &b.records[at][in]
	b.ops = append(b.ops, store.Op{Kind: kind, Record: r})
	return r
}

// has reports whether the fresh job with that number is in adds.
func (b *batch) has(seq uint64) bool { return b.first <= seq && seq <= b.last }

// reset empties the batch for reuse. Nothing may refer to its records any more.
func (b *batch) reset() {
	if cap(b.ops) > keepOps || cap(b.waiting) > keepOps {
		*b = batch{}
		return
	}
	for _, chunk := range b.records[:(b.nrecords+recordChunk-1)/recordChunk] {
		clear(chunk)
	}
	clear(b.ops)
	clear(b.adds)
	clear(b.riders)
	clear(b.deaths)
	clear(b.waiting)
	clear(b.after)
	b.ops, b.adds, b.riders, b.deaths = b.ops[:0], b.adds[:0], b.riders[:0], b.deaths[:0]
	b.waiting, b.after = b.waiting[:0], b.after[:0]
	b.nrecords, b.size, b.first, b.last = 0, 0, 0, 0
}

// opSize is what an operation counts in a batch.
func opSize(op *store.Op) int {
	n := opCost + len(op.Key) + len(op.Value)
	if r := op.Record; r != nil {
		n += recordSize(r)
	}
	return n
}

func recordSize(r *store.Record) int {
	return len(r.Payload) + len(r.Function) + len(r.Unique) + len(r.Reducer)
}

// countThatFit returns how many of ops make one batch.
func countThatFit(ops []store.Op) int {
	size := 0
	for i := range ops {
		if size += opSize(&ops[i]); i > 0 && (i >= maxBatchOps || size > maxBatchBytes) {
			return i
		}
	}
	return len(ops)
}
