package redis

import (
	"bytes"
	"fmt"

	"gm/pkg/store"
)

// The maximum size of a part of a batch: other clients wait while Redis runs a
// part.
const (
	partOps   = 1000
	partBytes = 8 << 20
)

// part has the arguments of one call of commitScript.
type part struct {
	args  []any
	ops   int
	bytes int
}

// batch is a batch as arguments of scripts.
type batch struct {
	layout *layout
	fence  string
	grows  bool   // it needs room
	last   uint64 // the highest number that it adds; 0 without Adds
	parts  []*part
}

// encodeOps appends operations that are within the limits of Redis.
func (b *batch) encodeOps(ops []store.Op) error {
	for i := range ops {
		op := &ops[i]
		switch op.Kind {
		case store.Add:
			b.addJob(op.Record)
		case store.Done:
			b.endJob(op.Record)
		case store.Update:
			r := op.Record
			b.appendOp(0, "update", seqBytes(r.Seq), b.layout.jobName(r), hiddenName(r.Seq), appendChange(nil, r))
		case store.Put:
			b.grows = true
			b.appendOp(len(op.Value), "put", op.Key, op.Value)
		case store.Delete:
			b.appendOp(0, "delete", op.Key)
		default:
			return fmt.Errorf("unknown operation %s", op.Kind)
		}
	}
	return nil
}

func (b *batch) addJob(r *store.Record) {
	b.grows = true
	b.last = max(b.last, r.Seq)
	name := b.layout.jobName(r)
	if name == "" || bytes.IndexByte(r.Payload, 0) >= 0 {
		b.appendOp(len(r.Payload), "hide", hiddenName(r.Seq), encodeRow(r), r.Payload)
		return
	}
	b.appendOp(len(r.Payload), "add", name, encodeRow(r), int(r.Priority), r.Payload)
}

func (b *batch) endJob(r *store.Record) {
	b.appendOp(0, "done", seqBytes(r.Seq), b.layout.jobName(r), hiddenName(r.Seq))
}

// appendOp appends an operation with a payload or a value of size bytes.
func (b *batch) appendOp(size int, args ...any) {
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

// growsAt is the index of the argument of a part that is set if the batch needs
// room.
const growsAt = 8

// finish appends the highest number, and marks the parts of a batch that needs room.
func (b *batch) finish() {
	if b.last > 0 {
		b.appendOp(0, "last", formatSeq(b.last))
	}
	for _, p := range b.parts {
		if b.grows {
			p.args[growsAt] = "grows"
		}
	}
}
