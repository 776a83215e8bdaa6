package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

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

	// keepArena is how much memory for encoded records is kept for the next
	// batch.
	keepArena = 4 << 20
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

// Commit implements store.Store. A batch is a transaction of bbolt, for which
// the disk is asked to sync twice: what is new has to be there before the page
// that makes it count is written.
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	err := s.use(func(e *engine) error {
		if err := s.commit(e, batch); err != nil {
			return err
		}
		s.compactSoon(e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit to %s: %w", s.file(), err)
	}
	return nil
}

// commit writes a batch. One that only takes away, and does not find the room
// for that in one piece, is written in halves: the first makes some for the
// second. commitMu is held.
func (s *Store) commit(e *engine, batch []store.Op) error {
	adds, err := s.transact(e, batch)
	switch {
	case err == nil || !full(err) && !errors.Is(err, store.ErrFull):
		return err
	case !adds && len(batch) > 1 && !errors.As(err, new(*store.UncertainError)):
		half := len(batch) / 2
		if err := s.commit(e, batch[:half]); err != nil {
			return err
		}
		return s.commit(e, batch[half:])
	case errors.Is(err, store.ErrFull):
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrFull, err)
}

// transact writes a batch in one transaction, and says whether it adds
// anything.
func (s *Store) transact(e *engine, batch []store.Op) (adds bool, err error) {
	var n need
	w := writer{Store: s, arena: s.arena[:0]}
	err = e.update(func(tx *bolt.Tx) error {
		n = needOf(batch, lastPiece(tx), e.pageSize)
		w.arena = slices.Grow(w.arena, n.bytes)
		if err := e.makeRoom(tx, n); err != nil {
			return err
		}
		return w.write(tx, batch)
	})
	if s.arena = w.arena; cap(s.arena) > keepArena {
		s.arena = nil
	}
	if unsynced := new(unsyncedError); errors.As(err, &unsynced) {
		s.undo = addedBy(s.undo, batch)
		return n.adds, &store.UncertainError{Err: err}
	}
	if err != nil {
		return n.adds, err
	}
	s.undo = nil
	if e.touched += int64(1+n.scattered) * faultSize; e.touched >= dropEvery {
		e.drop()
	}
	return n.adds, nil
}

// addedBy appends the jobs that batch adds.
func addedBy(seqs []uint64, batch []store.Op) []uint64 {
	for _, op := range batch {
		if op.Kind == store.Add {
			seqs = append(seqs, op.Record.Seq)
		}
	}
	return seqs
}

// writer puts one batch into a transaction.
type writer struct {
	*Store
	arena []byte // bbolt keeps values, not copies of them, until the end

	jobs, bodies, extras *bolt.Bucket
	large                bool // some payload is in pieces
}

// fillPercent is how full pages become when they are split. What comes, comes
// in order, so that nothing goes between.
const fillPercent = 1

func (w *writer) begin(tx *bolt.Tx) {
	w.jobs, w.bodies, w.extras = tx.Bucket(jobsName), tx.Bucket(bodiesName), tx.Bucket(extrasName)
	for _, b := range []*bolt.Bucket{w.jobs, w.bodies, w.extras} {
		b.FillPercent = fillPercent
	}
	first, _ := w.bodies.Cursor().First()
	w.large = first != nil
}

func (w *writer) write(tx *bolt.Tx, batch []store.Op) error {
	w.begin(tx)
	for _, seq := range w.undo {
		if err := w.forget(seq); err != nil {
			return err
		}
	}
	highest := w.jobs.Sequence()
	for _, op := range batch {
		if err := w.apply(op); err != nil {
			return fmt.Errorf("%v: %w", op.Kind, err)
		}
		if op.Kind == store.Add {
			highest = max(highest, op.Record.Seq)
		}
	}
	if highest == w.jobs.Sequence() {
		return nil
	}
	return w.jobs.SetSequence(highest) // what salvage goes by
}

func (w *writer) apply(op store.Op) error {
	switch op.Kind {
	case store.Add:
		return w.add(op.Record)
	case store.Done:
		return w.forget(op.Record.Seq)
	case store.Update:
		return w.update(op.Record)
	case store.Put:
		key := []byte(op.Key)
		w.note(extrasName, key)
		return w.extras.Put(key, w.keep(func(b []byte) []byte { return appendSealed(b, extrasName, key, op.Value) }))
	case store.Delete:
		key := []byte(op.Key)
		w.note(extrasName, key)
		return w.extras.Delete(key)
	}
	return fmt.Errorf("no such operation")
}

// keep returns what f appends, in memory that lasts as long as the writer.
func (w *writer) keep(f func([]byte) []byte) []byte {
	start := len(w.arena)
	w.arena = f(w.arena)
	return w.arena[start:len(w.arena):len(w.arena)]
}

func (w *writer) add(r *store.Record) error {
	if w.large {
		if err := w.forgetPieces(r.Seq); err != nil { // of a job with that number
			return err
		}
	}
	key := jobKey(r.Seq)
	w.note(jobsName, key)
	if len(r.Payload) <= maxInline {
		return w.jobs.Put(key, w.keep(func(b []byte) []byte { return store.AppendRecord(b, r) }))
	}
	w.large = true
	for i := range pieces(len(r.Payload)) {
		piece := r.Payload[i*pieceSize : min((i+1)*pieceSize, len(r.Payload))]
		key := pieceKey(r.Seq, i)
		w.note(bodiesName, key)
		value := w.keep(func(b []byte) []byte { return appendSealed(b, bodiesName, key, piece) })
		if err := w.bodies.Put(key, value); err != nil {
			return err
		}
	}
	return w.jobs.Put(key, w.keep(func(b []byte) []byte { return store.AppendHead(b, r, store.BodyOf(r.Payload)) }))
}

// update changes a record. One that can't be read is left for Replay to find.
func (w *writer) update(u *store.Record) error {
	key := jobKey(u.Seq)
	r, body, err := store.DecodeHead(w.jobs.Get(key))
	if err != nil || r.Seq != u.Seq {
		return nil
	}
	r.Attempts, r.RunAt = u.Attempts, u.RunAt
	w.note(jobsName, key)
	return w.jobs.Put(key, w.keep(func(b []byte) []byte {
		if body != nil {
			return store.AppendHead(b, r, *body)
		}
		return store.AppendRecord(b, r)
	}))
}

// forget removes a job.
func (w *writer) forget(seq uint64) error {
	if w.large {
		if err := w.forgetPieces(seq); err != nil {
			return err
		}
	}
	return w.forgetKey(jobKey(seq))
}

// forgetKey removes an entry of the jobs' bucket.
func (w *writer) forgetKey(key []byte) error {
	w.note(jobsName, key)
	return w.jobs.Delete(key)
}

// forgetPieces removes the pieces of a job's payload, if there are any.
func (w *writer) forgetPieces(seq uint64) error {
	c := w.bodies.Cursor()
	from := jobKey(seq)
	for key, _ := c.Seek(from); key != nil && string(key[:min(8, len(key))]) == string(from); key, _ = c.Seek(from) {
		w.note(bodiesName, key)
		if err := w.bodies.Delete(key); err != nil {
			return err
		}
	}
	return nil
}
