package redis

import (
	"bytes"
	"fmt"

	"gm/pkg/store"
)

// A batch goes to Redis in parts that it does not take long over.
const (
	partOps   = 1000
	partBytes = 8 << 20
)

// part is the arguments of one call of commitScript.
type part struct {
	args  []any
	ops   int
	bytes int
}

// batch is a batch as arguments.
type batch struct {
	layout *layout
	fence  string
	grows  bool   // it needs room
	last   uint64 // the highest number that it adds, 0 if none
	parts  []*part
}

// encode encodes operations that are within the limits of Redis.
func (b *batch) encode(ops []store.Op) error {
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case store.Add:
			b.add(op.Record)
		case store.Done:
			b.done(op.Record)
		case store.Update:
			r := op.Record
			b.put(0, "update", seqBytes(r.Seq), b.layout.name(r), hidden(r.Seq), change(nil, r))
		case store.Put:
			b.grows = true
			b.put(len(op.Value), "put", op.Key, op.Value)
		case store.Delete:
			b.put(0, "delete", op.Key)
		default:
			return fmt.Errorf("unknown operation %s", op.Kind)
		}
	}
	return nil
}

func (b *batch) add(r *store.Record) {
	b.grows = true
	b.last = max(b.last, r.Seq)
	name := b.layout.name(r)
	if name == "" || bytes.IndexByte(r.Payload, 0) >= 0 {
		b.put(len(r.Payload), "hide", hidden(r.Seq), encodeRow(r), r.Payload)
		return
	}
	b.put(len(r.Payload), "add", name, encodeRow(r), int(r.Priority), r.Payload)
}

func (b *batch) done(r *store.Record) {
	b.put(0, "done", seqBytes(r.Seq), b.layout.name(r), hidden(r.Seq))
}

// put appends an operation, of which size bytes matter.
func (b *batch) put(size int, args ...any) {
	if n := len(b.parts); n == 0 || b.parts[n-1].ops >= partOps || b.parts[n-1].bytes+size > partBytes {
		b.parts = append(b.parts, &part{args: []any{
			b.layout.fence, b.layout.lock, b.layout.jobs, b.layout.payloads, b.layout.extras, b.layout.last,
			b.fence, b.layout.prefix, "",
		}})
	}
	p := b.parts[len(b.parts)-1]
	p.args = append(p.args, args...)
	p.ops++
	p.bytes += size
}

// growsAt is the index of the argument of a part that tells Redis that the
// batch needs room.
const growsAt = 8

// seal ends the encoding.
func (b *batch) seal() {
	if b.last > 0 {
		b.put(0, "last", formatSeq(b.last))
	}
	for _, p := range b.parts {
		if b.grows {
			p.args[growsAt] = "grows"
		}
	}
}
