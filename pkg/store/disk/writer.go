package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
)

const (
	// maxInline is the size of the largest payload that is kept in its
	// record. Four such records fill two or three pages.
	maxInline = 2 << 10
	// pieceSize is that of the pieces in which larger ones are kept. Up to
	// four of them share a leaf, and are written anew when one is added.
	pieceSize = 32<<10 - 64
)

// The keys and values of the file.

func jobKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func pieceKey(seq uint64, i int) []byte {
	return binary.BigEndian.AppendUint32(jobKey(seq), uint32(i))
}

// pieces returns in how many pieces a payload of that size is kept.
func pieces(size int) int { return (size + pieceSize - 1) / pieceSize }

// A sealed value begins with the CRC-32C of its bucket's name, its key and the
// rest, 4 bytes, little-endian.
const sealSize = 4

func sealOf(name, key, data []byte) uint32 {
	sum := store.CRC(0, name)
	sum = store.CRC(sum, key)
	return store.CRC(sum, data)
}

func appendSealed(dst, name, key, data []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, sealOf(name, key, data))
	return append(dst, data...)
}

// unseal returns what is in a sealed value.
func unseal(name, key, value []byte) ([]byte, error) {
	if len(value) < sealSize {
		return nil, errors.New("shorter than a checksum")
	}
	data := value[sealSize:]
	if sealOf(name, key, data) != binary.LittleEndian.Uint32(value) {
		return nil, errors.New("checksum does not match")
	}
	return data, nil
}

// writer puts entries into a transaction of bbolt.
type writer struct {
	*Store
	arena arena // bbolt keeps values, not copies of them, until the end

	jobs, bodies, extras *bolt.Bucket
	last                 uint64 // no job above it has a payload in pieces; none has if it is 0
}

// fillPercent is how full pages become when they are split. What comes, comes
// in order, so that nothing goes between.
const fillPercent = 1

func (w *writer) begin(tx *bolt.Tx) {
	w.jobs, w.bodies, w.extras = tx.Bucket(jobsName), tx.Bucket(bodiesName), tx.Bucket(extrasName)
	for _, b := range []*bolt.Bucket{w.jobs, w.bodies, w.extras} {
		b.FillPercent = fillPercent
	}
	w.last = lastPiece(tx)
}

func (w *writer) write(tx *bolt.Tx, t *transaction) error {
	w.begin(tx)
	for _, seq := range t.undo {
		if err := w.forget(jobKey(seq)); err != nil {
			return err
		}
	}
	highest := w.jobs.Sequence()
	for i := range t.entries {
		x := &t.entries[i]
		if err := w.apply(x); err != nil {
			return fmt.Errorf("%v: %w", x.kind, err)
		}
		if x.kind == store.Add {
			highest = max(highest, seqOf(x.key))
		}
		if i%yieldEvery == 0 {
			runtime.Gosched() // commits to the log go on meanwhile
		}
	}
	if t.mark > 0 {
		if err := w.putMark(t.mark); err != nil {
			return err
		}
	}
	if highest == w.jobs.Sequence() {
		return nil
	}
	return w.jobs.SetSequence(highest) // what salvage goes by
}

// yieldEvery is after how many entries others get the processor.
const yieldEvery = 32

// markKey is an extra of the store's own: no other has a key like that. Its
// value is the number of the last frame of the log that is in the file, 8
// bytes, big-endian.
const markKey = "\x00log"

func (w *writer) putMark(mark uint64) error {
	key := []byte(markKey)
	value := appendSealed(nil, extrasName, key, binary.BigEndian.AppendUint64(nil, mark))
	w.note(extrasName, key)
	return w.extras.Put(key, value)
}

func (w *writer) apply(x *entry) error {
	switch x.kind {
	case store.Add:
		return w.add(x)
	case store.Done:
		return w.forget(x.key)
	case store.Update:
		return w.update(x)
	case store.Put:
		w.note(extrasName, x.key)
		return w.extras.Put(x.key, x.value)
	case store.Delete:
		w.note(extrasName, x.key)
		return w.extras.Delete(x.key)
	}
	return errEntry
}

func (w *writer) add(x *entry) error {
	if w.last > 0 {
		if err := w.forgetPieces(x.key); err != nil { // of a job with that number
			return err
		}
	}
	seq := seqOf(x.key)
	for i := range pieces(len(x.payload)) {
		w.last = max(w.last, seq)
		piece := x.payload[i*pieceSize : min((i+1)*pieceSize, len(x.payload))]
		key := pieceKey(seq, i)
		w.note(bodiesName, key)
		value := w.arena.keep(func(b []byte) []byte { return appendSealed(b, bodiesName, key, piece) })
		if err := w.bodies.Put(key, value); err != nil {
			return err
		}
	}
	w.note(jobsName, x.key)
	return w.jobs.Put(x.key, x.value)
}

// update changes a record. One that can't be read is left for Replay to find.
func (w *writer) update(x *entry) error {
	attempts, n := binary.Varint(x.value)
	runAt, k := binary.Varint(x.value[max(n, 0):])
	if n <= 0 || k <= 0 {
		return errEntry
	}
	r, body, err := store.DecodeHead(w.jobs.Get(x.key))
	if err != nil || string(x.key) != string(jobKey(r.Seq)) {
		return nil
	}
	r.Attempts, r.RunAt = int(attempts), runAt
	w.note(jobsName, x.key)
	return w.jobs.Put(x.key, w.arena.keep(func(b []byte) []byte {
		if body != nil {
			return store.AppendHead(b, r, *body)
		}
		return store.AppendRecord(b, r)
	}))
}

// forget removes a job.
func (w *writer) forget(key []byte) error {
	if w.last > 0 {
		if err := w.forgetPieces(key); err != nil {
			return err
		}
	}
	return w.forgetKey(key)
}

// forgetKey removes an entry of the jobs' bucket.
func (w *writer) forgetKey(key []byte) error {
	w.note(jobsName, key)
	return w.jobs.Delete(key)
}

// forgetPieces removes the pieces of a job's payload, if there are any.
func (w *writer) forgetPieces(from []byte) error {
	c := w.bodies.Cursor()
	for key, _ := c.Seek(from); key != nil && string(key[:min(8, len(key))]) == string(from); key, _ = c.Seek(from) {
		w.note(bodiesName, key)
		if err := w.bodies.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
