package disk

import (
	"encoding/binary"
	"errors"

	"gm/pkg/store"
)

// entry is what one operation writes, encoded: the form in which it goes into
// the log, and from there, or directly, into the file.
type entry struct {
	kind store.Kind
	key  []byte // the job's, or the extra's
	// value is of an Add the record, whole or without its payload, of an
	// Update the attempts and the time, of a Put the sealed value.
	value   []byte
	payload []byte // of an Add that is to be kept in pieces
}

// arena is memory for what is encoded. What is in it lasts until it is reset,
// also if it grows.
type arena []byte

// keepArena is how much of it is kept for later.
const keepArena = 4 << 20

// keep returns what f appends.
func (a *arena) keep(f func([]byte) []byte) []byte {
	start := len(*a)
	*a = f(*a)
	return (*a)[start:len(*a):len(*a)]
}

// reset empties the arena, of which nobody has anything any more.
func (a *arena) reset() {
	if *a = (*a)[:0]; cap(*a) > keepArena {
		*a = nil
	}
}

// encoder makes entries of batches. What it makes lasts until the next batch.
type encoder struct {
	sealing sealing // of the file that the entries are for
	entries []entry
	arena   arena
}

// encode returns the entries of a batch, and how many bytes they take in the
// log at most. Large payloads are not copied.
func (c *encoder) encode(batch []store.Op) (entries []entry, size int) {
	clear(c.entries)
	c.entries = c.entries[:0]
	c.arena.reset()
	for _, op := range batch {
		x := entry{kind: op.Kind}
		switch r := op.Record; op.Kind {
		case store.Put, store.Delete:
			x.key = []byte(op.Key)
			if op.Kind == store.Put {
				x.value = c.arena.keep(func(b []byte) []byte { return c.sealing.appendSealed(b, extrasName, x.key, op.Value) })
			}
		default:
			x.key = c.arena.keep(func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, r.Seq) })
			switch {
			case op.Kind == store.Update:
				x.value = c.arena.keep(func(b []byte) []byte {
					return binary.AppendVarint(binary.AppendVarint(b, int64(r.Attempts)), r.RunAt)
				})
			case op.Kind == store.Add && len(r.Payload) <= maxInline:
				x.value = c.arena.keep(func(b []byte) []byte { return store.AppendRecord(b, r) })
				c.sealing.salt.Mix(x.value)
			case op.Kind == store.Add:
				x.value = c.arena.keep(func(b []byte) []byte { return store.AppendHead(b, r, store.BodyOf(r.Payload)) })
				c.sealing.salt.Mix(x.value)
				x.payload = r.Payload
			}
		}
		c.entries = append(c.entries, x)
		size += entrySum + maxEntryHead + len(x.key) + len(x.value) + len(x.payload)
	}
	return c.entries, size
}

// maxEntryHead is what an entry takes beside key, value and payload at most.
const maxEntryHead = 1 + 3*binary.MaxVarintLen64

// appendEntry appends the kind, one byte, and key, value and payload, each
// after its length, a varint.
func appendEntry(dst []byte, x *entry) []byte {
	dst = append(dst, byte(x.kind))
	for _, field := range [...][]byte{x.key, x.value, x.payload} {
		dst = append(binary.AppendUvarint(dst, uint64(len(field))), field...)
	}
	return dst
}

var errEntry = errors.New("not an entry")

// cutEntry returns the entry that b begins with, whose fields stay in b, and
// what follows it.
func cutEntry(b []byte) (x entry, rest []byte, err error) {
	if len(b) == 0 || store.Kind(b[0]) > store.Delete {
		return x, b, errEntry
	}
	x.kind, rest = store.Kind(b[0]), b[1:]
	for _, field := range [...]*[]byte{&x.key, &x.value, &x.payload} {
		n, k := binary.Uvarint(rest)
		if k <= 0 || n > uint64(len(rest)-k) {
			return x, b, errEntry
		}
		rest = rest[k:]
		*field, rest = rest[:n:n], rest[n:]
	}
	return x, rest, nil
}

// proven reports whether an entry of a log without a salt proves itself by a
// checksum of its own.
func (x *entry) proven() bool {
	switch x.kind {
	case store.Add:
		r, body, err := store.DecodeHead(x.value)
		return err == nil && string(x.key) == string(jobKey(r.Seq)) &&
			(body == nil && len(x.payload) == 0 || body != nil && store.BodyOf(x.payload) == *body)
	case store.Put:
		_, err := sealing{}.unseal(extrasName, x.key, x.value)
		return err == nil
	}
	return false
}
