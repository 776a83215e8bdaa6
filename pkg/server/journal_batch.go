package server

import (
	"fmt"

	"gm/pkg/store"
)

const (
	// maxBatchOps and maxBatchBytes bound a batch. A single operation, or the few
	// that belong to the end of one job, may be larger and are a batch alone.
	maxBatchOps   = 8192
	maxBatchBytes = 8 << 20
	// opCost is roughly the space that a store needs for an operation besides its
	// bytes.
	opCost = 64
	// keepOps is the largest room for operations that a batch keeps for its reuse.
	keepOps = 8192
	// recordChunk is how many records are allocated together.
	recordChunk = 256
)

// batch is a list of operations that are stored together, with the completions
// that its owner has attached. The lock guards it; the ops of the batch in flight
// are read without the lock.
type batch[C any] struct {
	n       uint64 // the number; batches are numbered in order
	ops     []store.Op
	size    int              // bytes, of all ops
	records [][]store.Record // room for those of ops, in chunks
	done    []C              // given back with the outcome of the batch
	lasting []lasting[C]     // given back when their extras are stored

	nrecords    int    // records in use
	first, last uint64 // the lowest and highest number of Adds, as far as these grow; 0 if there are none
}

// isEmpty reports whether the batch has nothing to do.
func (b *batch[C]) isEmpty() bool { return len(b.ops) == 0 && len(b.done) == 0 }

// isRest reports whether the batch is a part of journal.rest, in a batch of its
// own: those have no number.
func (b *batch[C]) isRest() bool { return b.n == 0 }

// isAwaited reports whether the batch has completions.
func (b *batch[C]) isAwaited() bool { return len(b.done) > 0 }

// hasRoom reports whether an operation of size bytes fits.
func (b *batch[C]) hasRoom(size int) bool {
	return len(b.ops) == 0 || len(b.ops) < maxBatchOps && b.size+size <= maxBatchBytes
}

// hasAdd reports whether the batch may have the Add with that number, whose
// number was the highest when it was added.
func (b *batch[C]) hasAdd(seq uint64) bool { return b.first <= seq && seq <= b.last }

// appendRecord appends an operation with a copy of a record.
func (b *batch[C]) appendRecord(kind store.Kind, r *store.Record) {
	at, in := b.nrecords/recordChunk, b.nrecords%recordChunk
	if at == len(b.records) {
		b.records = append(b.records, make([]store.Record, recordChunk))
	}
	b.nrecords++
	kept := &b.records[at][in]
	*kept = *r
	b.ops = append(b.ops, store.Op{Kind: kind, Record: kept})
	b.size += opCost + recordSize(kept)
}

// appendOp appends an operation of an extra.
func (b *batch[C]) appendOp(op store.Op) {
	b.size += opSize(&op)
	b.ops = append(b.ops, op)
}

// reset empties the batch for reuse. Nothing may refer to its records any more.
func (b *batch[C]) reset() {
	if cap(b.ops) > keepOps || cap(b.done) > keepOps {
		*b = batch[C]{}
		return
	}
	for _, chunk := range b.records[:(b.nrecords+recordChunk-1)/recordChunk] {
		clear(chunk)
	}
	clear(b.ops)
	clear(b.done)
	clear(b.lasting)
	b.ops, b.done, b.lasting = b.ops[:0], b.done[:0], b.lasting[:0]
	b.nrecords, b.size, b.first, b.last = 0, 0, 0, 0
}

// opSize returns the bytes that an operation counts in a batch.
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

// countWithPairs is countThatFit, but does not separate the end of a job from the extra
// into which the job has turned, which is the next operation.
func countWithPairs(ops []store.Op, heirKey func(seq uint64) string) int {
	n := countThatFit(ops)
	switch {
	case n == len(ops) || !isPair(&ops[n-1], &ops[n], heirKey):
		return n
	case n == 1:
		return 2
	}
	return n - 1
}

// isPair reports whether an operation is the end of a job, and the next one the extra
// into which that job has turned.
func isPair(end, extra *store.Op, heirKey func(seq uint64) string) bool {
	return end.Kind == store.Done && extra.Kind == store.Put && extra.Key == heirKey(end.Record.Seq)
}

// opName returns a name of an operation, by which failures are counted.
func opName(op *store.Op) string {
	if op.Record != nil {
		return fmt.Sprint(op.Kind, " ", op.Record.Seq)
	}
	return fmt.Sprint(op.Kind, " ", op.Key)
}
