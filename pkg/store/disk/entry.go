package disk

import (
	"encoding/binary"
	"errors"

	"gm/internal/codec"
	"gm/pkg/store"
)

// entry is an operation in the form in which it is written into the log, and
// from there, or directly, into the file.
type entry struct {
	kind store.Kind
	key  []byte // the job's, or the extra's
	// value is the record for an Add, whole or without its payload, the attempts
	// and the time for an Update, and the sealed value for a Put.
	value   []byte
	payload []byte // of an Add whose payload is kept in pieces
}

// arena is memory for encoded entries. Its bytes are valid until it is reset,
// also if it grows.
type arena []byte

// keepArena is the maximum size of an arena that is kept for the next use.
const keepArena = 4 << 20

// keep returns the bytes that f appends.
func (a *arena) keep(f func([]byte) []byte) []byte {
	start := len(*a)
	*a = f(*a)
	return (*a)[start:len(*a):len(*a)]
}

// reset empties the arena. Nobody may use its bytes any more.
func (a *arena) reset() {
	if *a = (*a)[:0]; cap(*a) > keepArena {
		*a = nil
	}
}

// encoder makes entries from batches. They are valid until the next batch.
type encoder struct {
	sealing sealing // of the file for which the entries are
	entries []entry
	arena   arena
}

// encodeBatch returns the entries of a batch, and the maximum number of bytes that
// they take in the log. It does not copy large payloads.
func (c *encoder) encodeBatch(batch []store.Op) (entries []entry, size int) {
	clear(c.entries)
	c.entries = c.entries[:0]
	c.arena.reset()
	for _, op := range batch {
		x := entry{kind: op.Kind}
		switch r := op.Record; op.Kind {
		case store.Put, store.Delete:
			x.key = []byte(op.Key)
			if op.Kind == store.Put {
				x.value = c.arena.keep(func(b []byte) []byte { return c.sealing.salt.AppendSealed(b, extrasName, x.key, op.Value) })
			}
		default:
			x.key = c.arena.keep(func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, r.Seq) })
			switch {
			case op.Kind == store.Update:
				x.value = c.arena.keep(func(b []byte) []byte {
					return binary.AppendVarint(binary.AppendVarint(b, int64(r.Attempts)), r.RunAt)
				})
			case op.Kind == store.Add && len(r.Payload) <= maxInline:
				x.value = c.arena.keep(func(b []byte) []byte { return codec.AppendRecord(b, r) })
				c.sealing.salt.Mix(x.value)
			case op.Kind == store.Add:
				x.value = c.arena.keep(func(b []byte) []byte { return codec.AppendHead(b, r, codec.BodyOf(r.Payload)) })
				c.sealing.salt.Mix(x.value)
				x.payload = r.Payload
			}
		}
		c.entries = append(c.entries, x)
		size += entrySum + maxEntryHead + len(x.key) + len(x.value) + len(x.payload)
	}
	return c.entries, size
}

// maxEntryHead is the maximum size of an entry without its key, value and payload.
const maxEntryHead = 1 + 3*binary.MaxVarintLen64

// appendEntry appends the kind, one byte, and key, value and payload, each
// after its length, a varint.
func appendEntry(dst []byte, x *entry) []byte {
	dst = append(dst, byte(x.kind))
	for _, field := range [...][]byte{x.key, x.value, x.payload} {
		dst = codec.AppendField(dst, field)
	}
	return dst
}

var errEntry = errors.New("not an entry")

// cutEntry returns the entry that b begins with, and the rest. The fields of the
// entry point into b.
func cutEntry(b []byte) (x entry, rest []byte, err error) {
	if len(b) == 0 || store.Kind(b[0]) > store.Delete {
		return x, b, errEntry
	}
	x.kind, rest = store.Kind(b[0]), b[1:]
	for _, field := range [...]*[]byte{&x.key, &x.value, &x.payload} {
		var ok bool
		if *field, rest, ok = codec.CutField(rest); !ok {
			return x, b, errEntry
		}
	}
	return x, rest, nil
}

// proven reports whether an entry of a log without a salt has a checksum of its
// own, and it matches.
func (x *entry) proven() bool {
	switch x.kind {
	case store.Add:
		r, body, err := codec.DecodeHead(x.value)
		return err == nil && string(x.key) == string(jobKey(r.Seq)) &&
			(body == nil && len(x.payload) == 0 || body != nil && codec.BodyOf(x.payload) == *body)
	case store.Put:
		_, err := sealing{}.unseal(extrasName, x.key, x.value)
		return err == nil
	}
	return false
}
