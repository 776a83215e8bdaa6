package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"

	bolt "go.etcd.io/bbolt"

	"gm/internal/codec"
	"gm/pkg/store"
)

const (
	// maxInline is the maximum size of a payload that is kept in its record.
	// Four such records fill two or three pages.
	maxInline = 2 << 10
	// pieceSize is the size of the pieces of larger payloads. Up to four of them
	// share a leaf, and are written again when one is added.
	pieceSize = 32<<10 - 64
)

// The keys and values of the file.

// pieceKeySize is the size of the key of a piece of a payload.
const pieceKeySize = 12

func jobKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func pieceKey(seq uint64, i int) []byte {
	return binary.BigEndian.AppendUint32(jobKey(seq), uint32(i))
}

// pieces returns the number of pieces of a payload of that size.
func pieces(size int) int { return (size + pieceSize - 1) / pieceSize }

// writer writes entries into a transaction of bbolt.
type writer struct {
	sealing sealing // of the file
	arena   arena   // for values, which bbolt does not copy before the end of the transaction
	changed changes // gets the entries that are written, if not nil

	jobs, bodies, extras *bolt.Bucket
	cursor               *bolt.Cursor // of jobs
	last                 uint64       // highest number of a job whose payload is in pieces, or 0
	highest              uint64       // highest number of a job that was ever added

	room  int    // maximum size of a pack
	fresh pack   // takes jobs above highest; it is empty if there are none
	open  pack   // the pack that is being changed
	key   []byte // of open
	dirty bool   // open has changed
}

// fillPercent is the part of a page that is filled when the page is split. Keys
// come in order, so that none comes between others later.
const fillPercent = 1

func (w *writer) start(tx *bolt.Tx) {
	w.jobs, w.bodies, w.extras = tx.Bucket(jobsName), tx.Bucket(bodiesName), tx.Bucket(extrasName)
	for _, b := range []*bolt.Bucket{w.jobs, w.bodies, w.extras} {
		b.FillPercent = fillPercent
	}
	w.cursor = w.jobs.Cursor()
	w.last, w.highest = lastPiece(tx), w.jobs.Sequence()
	w.room = packRoom(tx.DB().Info().PageSize)
}

// keep returns a copy of a value that is valid until the end of the transaction.
func (w *writer) keep(value []byte) []byte {
	return w.arena.keep(func(b []byte) []byte { return append(b, value...) })
}

// finish writes the packs that are open and the highest number.
func (w *writer) finish() error {
	if err := errors.Join(w.closeFresh(), w.closePack()); err != nil || w.highest == w.jobs.Sequence() {
		return err
	}
	return w.jobs.SetSequence(w.highest) // salvage needs it
}

func (w *writer) write(tx *bolt.Tx, t *transaction) error {
	w.start(tx)
	for _, seq := range t.undo {
		if err := w.forget(jobKey(seq)); err != nil {
			return err
		}
	}
	for i := range t.entries {
		x := &t.entries[i]
		if err := w.apply(x); err != nil {
			return fmt.Errorf("%v: %w", x.kind, err)
		}
		if i%yieldEvery == 0 {
			runtime.Gosched() // commits to the log go on meanwhile
		}
	}
	w.highest = max(w.highest, t.highest)
	if t.mark > 0 {
		if err := w.putMark(t.mark); err != nil {
			return err
		}
	}
	return w.finish()
}

// yieldEvery is the number of entries after which other goroutines get the
// processor.
const yieldEvery = 32

// markKey is the key of an extra for the store itself. Its value is the number of
// the log's last frame that the file has, 8 bytes, big-endian.
const markKey = "\x00log"

func (w *writer) putMark(mark uint64) error {
	key := []byte(markKey)
	value := w.sealing.salt.AppendSealed(nil, extrasName, key, binary.BigEndian.AppendUint64(nil, mark))
	w.noteChange(extrasName, key)
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
		w.noteChange(extrasName, x.key)
		return w.extras.Put(x.key, x.value)
	case store.Delete:
		w.noteChange(extrasName, x.key)
		return w.extras.Delete(x.key)
	}
	return errEntry
}

func (w *writer) add(x *entry) error {
	if w.last > 0 {
		if err := w.forgetPieces(x.key); err != nil { // of an earlier job with that number
			return err
		}
	}
	seq := seqOf(x.key)
	for i := range pieces(len(x.payload)) {
		w.last = max(w.last, seq)
		piece := x.payload[i*pieceSize : min((i+1)*pieceSize, len(x.payload))]
		key := pieceKey(seq, i)
		w.noteChange(bodiesName, key)
		value := w.arena.keep(func(b []byte) []byte { return w.sealing.salt.AppendSealed(b, bodiesName, key, piece) })
		if err := w.bodies.Put(key, value); err != nil {
			return err
		}
	}
	if seq <= w.highest {
		return w.put(seq, x.value)
	}
	w.highest = seq
	packs := len(x.value) <= maxPacked
	if packs && w.fresh.appendJob(seq, x.value, w.room) {
		return nil
	}
	if err := w.closeFresh(); err != nil {
		return err
	}
	if packs {
		w.fresh.appendJob(seq, x.value, w.room) // fresh is empty now
		return nil
	}
	return w.putAlone(x.key, x.value)
}

// closeFresh writes the pack that takes new jobs, and begins another. It writes a
// single job without a pack.
func (w *writer) closeFresh() error {
	p := &w.fresh
	if len(p.records) == 0 {
		return nil
	}
	key, value := p.key(), p.records
	if p.first == p.last {
		x, _ := p.at(0, 0)
		key, value = jobKey(p.first), x.record
	}
	err := w.putAlone(key, w.keep(value))
	*p = pack{records: p.records[:0]}
	return err
}

// putAlone writes an entry into the jobs' bucket.
func (w *writer) putAlone(key, value []byte) error {
	w.noteChange(jobsName, key)
	return w.jobs.Put(key, value)
}

// openPack opens the pack that spans a job, if there is one. Otherwise, if the job
// has a key of its own, it moves the cursor there, and alone is the record.
func (w *writer) openPack(seq uint64) (in bool, alone []byte, err error) {
	if w.fresh.spans(seq) {
		err = w.closeFresh()
	}
	if w.open.spans(seq) || err != nil {
		return err == nil, nil, err
	}
	if err := w.closePack(); err != nil {
		return false, nil, err
	}
	key, value := w.cursor.Seek(jobKey(seq))
	if string(key) == string(jobKey(seq)) {
		return false, value, nil
	}
	p, ok := w.sealing.parsePack(key, value)
	if !ok || !p.spans(seq) {
		return false, nil, nil
	}
	p.records = append(w.open.records[:0], value...)
	w.open, w.key = p, append(w.key[:0], key...)
	return true, nil, nil
}

// closePack writes the pack that is open, if it has changed.
func (w *writer) closePack() error {
	p, dirty := w.open, w.dirty
	w.open, w.dirty = pack{records: p.records[:0]}, false
	switch {
	case !dirty:
		return nil
	case len(p.records) == 0:
		return w.forgetKey(w.key)
	}
	records := w.keep(p.records)
	w.sealing.renew(jobsName, w.key, records)
	return w.putAlone(w.key, records)
}

// get returns the record of a job, or nil. The record is valid until the next call.
func (w *writer) get(seq uint64) ([]byte, error) {
	in, alone, err := w.openPack(seq)
	if in {
		return w.open.find(seq).record, err
	}
	return alone, err
}

// put sets the record of a job. The record must not change afterwards.
func (w *writer) put(seq uint64, record []byte) error {
	in, _, err := w.openPack(seq)
	switch {
	case err != nil:
		return err
	case in:
		w.open.setJob(seq, record)
		w.dirty = true
		return nil
	}
	return w.putAlone(jobKey(seq), record)
}

// update changes a record. A record that cannot be read stays: Replay finds it.
func (w *writer) update(x *entry) error {
	attempts, n := binary.Varint(x.value)
	runAt, k := binary.Varint(x.value[max(n, 0):])
	if n <= 0 || k <= 0 {
		return errEntry
	}
	seq := seqOf(x.key)
	record, err := w.get(seq)
	if err != nil {
		return err
	}
	r, body, err := w.sealing.decode(record)
	if err != nil || r.Seq != seq {
		return nil
	}
	r.Attempts, r.RunAt = int(attempts), runAt
	record = w.arena.keep(func(b []byte) []byte {
		if body != nil {
			return codec.AppendHead(b, r, *body)
		}
		return codec.AppendRecord(b, r)
	})
	w.sealing.salt.Mix(record)
	return w.put(seq, record)
}

// forget removes a job.
func (w *writer) forget(key []byte) error {
	if w.last > 0 {
		if err := w.forgetPieces(key); err != nil {
			return err
		}
	}
	seq := seqOf(key)
	in, alone, err := w.openPack(seq)
	switch {
	case err != nil:
		return err
	case in:
		x := w.open.find(seq)
		w.open.records = slices.Delete(w.open.records, x.from, x.to)
		w.dirty = w.dirty || x.record != nil
		return nil
	case alone != nil:
		w.noteChange(jobsName, key)
		return w.cursor.Delete()
	}
	return nil
}

// forgetStretch removes a broken stretch from the pack of that key, and the
// payloads for which the pack has no record then.
func (w *writer) forgetStretch(key, stretch []byte) error {
	in, _, err := w.openPack(seqOf(key))
	if !in || err != nil {
		return err
	}
	p := &w.open
	for x := range p.all() {
		if x.record == nil && bytes.Equal(p.records[x.from:x.to], stretch) {
			p.records = slices.Delete(p.records, x.from, x.to)
			w.dirty = true
			break
		}
	}
	c := w.bodies.Cursor()
	for at, _ := c.Seek(jobKey(p.first)); at != nil && p.spans(seqOf(at)); {
		seq := seqOf(at)
		if p.find(seq).record == nil {
			if err := w.forgetPieces(jobKey(seq)); err != nil {
				return err
			}
		}
		at, _ = c.Seek(jobKey(seq + 1))
	}
	return nil
}

// forgetKey removes an entry of the jobs' bucket.
func (w *writer) forgetKey(key []byte) error {
	w.noteChange(jobsName, key)
	return w.jobs.Delete(key)
}

// forgetPieces removes the pieces of a job's payload, if there are any.
func (w *writer) forgetPieces(from []byte) error {
	c := w.bodies.Cursor()
	for key, _ := c.Seek(from); key != nil && string(key[:min(8, len(key))]) == string(from); key, _ = c.Seek(from) {
		w.noteChange(bodiesName, key)
		if err := w.bodies.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// forgetOrphan removes a piece of a payload if its job is not in the file.
func (w *writer) forgetOrphan(key []byte) error {
	record, err := w.get(seqOf(key))
	if err != nil || record != nil {
		return err
	}
	w.noteChange(bodiesName, key)
	return w.bodies.Delete(key)
}
