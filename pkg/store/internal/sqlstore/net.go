package sqlstore

import (
	"iter"

	"gm/pkg/store"
)

// Net is the combined effect of a batch, in an order of its own: first Dones,
// then Updates, Adds, Deletes and Puts. No job and no key is in two of them. It
// refers to the memory of the batch.
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
		return single(&batch[0])
	}
	n := folding{
		jobs:   make(map[uint64]fold, len(batch)),
		names:  make(map[name]uint64),
		extras: make(map[string]int),
	}
	for i := range batch {
		n.take(batch, i)
	}
	return n.net(batch)
}

// single returns the Net of the most frequent kind of batch, in which no
// operations need to be combined.
func single(op *store.Op) *Net {
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

// folding is an incomplete Net.
type folding struct {
	seqs   []uint64 // of jobs, in the order of their first operations
	jobs   map[uint64]fold
	names  map[name]uint64 // of Adds
	keys   []string        // of extras, likewise
	extras map[string]int  // to the last operation
}

// fold is the combined effect on one job. Kind is Add, Done or Update.
type fold struct {
	kind   store.Kind
	record *store.Record
}

type name struct{ function, unique string }

func (n *folding) take(batch []store.Op, i int) {
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
		n.replace(op.Record)
	case op.Kind == store.Update && ok && was.kind == store.Add:
		added := *was.record
		added.Attempts, added.RunAt = op.Record.Attempts, op.Record.RunAt
		n.jobs[seq] = fold{store.Add, &added}
		return
	case op.Kind == store.Update && ok && was.kind == store.Done:
		return
	}
	n.jobs[seq] = fold{op.Kind, op.Record}
}

// replace replaces the job with the same function and unique by r, as the table
// would.
func (n *folding) replace(r *store.Record) {
	if r.Unique == "" || r.Unique == "-" || r.Apart {
		return
	}
	k := name{r.Function, r.Unique}
	if before, ok := n.names[k]; ok && before != r.Seq && n.jobs[before].kind == store.Add {
		n.jobs[before] = fold{store.Done, n.jobs[before].record}
	}
	n.names[k] = r.Seq
}

func (n *folding) net(batch []store.Op) *Net {
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

// Seqs returns the sequences of records.
func Seqs(records []*store.Record) []uint64 {
	seqs := make([]uint64, len(records))
	for i, r := range records {
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
