package sqlstore

import (
	"iter"

	"gm/pkg/store"
)

// Net is the combined effect of a batch. The store makes its changes in this
// order: Dones, Updates, Adds, Deletes, Puts. No job and no key is in two of them.
// A Net refers to the memory of the batch.
type Net struct {
	Dones   []uint64 // sequences
	Updates []*store.Record
	Adds    []*store.Record // no two of a function have the same unique
	Deletes []string
	Puts    []store.Op
}

// NewNet combines the operations of batch. A job that was added and done in it
// leaves only the Done, in case the store had it before.
func NewNet(batch []store.Op) *Net {
	if len(batch) == 1 {
		return netOf(&batch[0])
	}
	n := netBuilder{
		jobs:   make(map[uint64]jobEffect, len(batch)),
		names:  make(map[jobName]uint64),
		extras: make(map[string]int),
	}
	for i := range batch {
		n.addOp(batch, i)
	}
	return n.build(batch)
}

// netOf returns the Net of a batch of one operation, the most frequent kind of
// batch.
func netOf(op *store.Op) *Net {
	n := new(Net)
	switch op.Kind {
	case store.Add:
		n.Adds = []*store.Record{op.Record}
	case store.Done:
		n.Dones = []uint64{op.Record.Seq}
	case store.Update:
		n.Updates = []*store.Record{op.Record}
	case store.Put:
		n.Puts = []store.Op{*op}
	case store.Delete:
		n.Deletes = []string{op.Key}
	}
	return n
}

// netBuilder combines the operations of a batch into a Net.
type netBuilder struct {
	seqs   []uint64 // of jobs, in the order of their first operations
	jobs   map[uint64]jobEffect
	names  map[jobName]uint64 // numbers of Adds
	keys   []string           // of extras, in the order of their first operations
	extras map[string]int     // index of the last operation on an extra
}

// jobEffect is the combined effect on one job. Its kind is Add, Done or Update.
type jobEffect struct {
	kind   store.Kind
	record *store.Record
}

type jobName struct{ function, unique string }

// addOp adds the operation with index i.
func (n *netBuilder) addOp(batch []store.Op, i int) {
	op := &batch[i]
	if op.Kind == store.Put || op.Kind == store.Delete {
		if _, ok := n.extras[op.Key]; !ok {
			n.keys = append(n.keys, op.Key)
		}
		n.extras[op.Key] = i
		return
	}
	seq := op.Record.Seq
	was, ok := n.jobs[seq]
	if !ok {
		n.seqs = append(n.seqs, seq)
	}
	switch {
	case op.Kind == store.Add:
		n.replaceSame(op.Record)
	case op.Kind == store.Update && ok && was.kind == store.Add:
		added := *was.record
		added.Attempts, added.RunAt = op.Record.Attempts, op.Record.RunAt
		n.jobs[seq] = jobEffect{store.Add, &added}
		return
	case op.Kind == store.Update && ok && was.kind == store.Done:
		return
	}
	n.jobs[seq] = jobEffect{op.Kind, op.Record}
}

// replaceSame makes r replace the job with the same function and unique, as it
// would in the table.
func (n *netBuilder) replaceSame(r *store.Record) {
	if r.Unique == "" || r.Unique == "-" || r.Apart {
		return
	}
	k := jobName{r.Function, r.Unique}
	if before, ok := n.names[k]; ok && before != r.Seq && n.jobs[before].kind == store.Add {
		n.jobs[before] = jobEffect{store.Done, n.jobs[before].record}
	}
	n.names[k] = r.Seq
}

// build returns the Net of the operations so far.
func (n *netBuilder) build(batch []store.Op) *Net {
	net := new(Net)
	for _, seq := range n.seqs {
		switch j := n.jobs[seq]; j.kind {
		case store.Add:
			net.Adds = append(net.Adds, j.record)
		case store.Done:
			net.Dones = append(net.Dones, seq)
		case store.Update:
			net.Updates = append(net.Updates, j.record)
		}
	}
	for _, key := range n.keys {
		if op := batch[n.extras[key]]; op.Kind == store.Put {
			net.Puts = append(net.Puts, op)
		} else {
			net.Deletes = append(net.Deletes, key)
		}
	}
	return net
}

// Highest returns the highest number of the added and done jobs, or 0.
func (n *Net) Highest() (seq uint64) {
	for _, r := range n.Adds {
		seq = max(seq, r.Seq)
	}
	for _, done := range n.Dones {
		seq = max(seq, done)
	}
	return seq
}

// addedSeqs returns the numbers of the added jobs.
func (n *Net) addedSeqs() []uint64 {
	seqs := make([]uint64, len(n.Adds))
	for i, r := range n.Adds {
		seqs[i] = r.Seq
	}
	return seqs
}

// Chunks returns the parts of s, in order, each of at most count elements and,
// unless it has only one, at most room in size.
func Chunks[T any](s []T, count, room int, size func(T) int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(s) > 0 {
			n, used := 1, size(s[0])
			for n < len(s) && n < count {
				if used += size(s[n]); used > room {
					break
				}
				n++
			}
			if !yield(s[:n]) {
				return
			}
			s = s[n:]
		}
	}
}

// NoSize is the size of elements for Chunks that are limited by their count
// alone.
func NoSize[T any](T) int { return 0 }
