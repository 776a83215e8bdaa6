package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"

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

// Commit implements store.Store. A batch is written to the end of the log, for
// which the disk is asked to sync once, over blocks that it has already. What is
// too large for that becomes a transaction of bbolt at once.
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := s.commitBatch(batch); err != nil {
		return fmt.Errorf("commit to %s: %w", s.file(), err)
	}
	return nil
}

func (s *Store) commitBatch(batch []store.Op) error {
	var pageSize int64
	err := s.use(func(e *engine) error {
		pageSize = e.pageSize
		return nil
	})
	if err == nil && s.wal.suspect {
		if err = s.flush(); err == nil {
			s.wal.suspect = false
		}
	}
	if err != nil {
		return err
	}
	entries, size := s.encoder.encode(batch)
	n := needOf(batch, s.lastPiece(), pageSize)
	switch {
	case len(s.undo) > 0 || size > walMax || !s.wal.files:
		return s.commitDirectly(entries, n, batch)
	case len(entries) == 0:
		return nil
	}
	if !s.wal.fits(size) {
		if err := s.seal(); err != nil {
			return err
		}
	}
	if err := s.makeRoom(n); err != nil {
		return err
	}
	if err := s.wal.append(entries, n); err != nil {
		return &store.UncertainError{Err: fullError(err)}
	}
	select {
	case s.appended <- struct{}{}:
	default:
	}
	return nil
}

// commitDirectly puts a batch into the file, after what the log has. commitMu is
// held.
func (s *Store) commitDirectly(entries []entry, n need, batch []store.Op) error {
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.makeRoom(n); err != nil {
		return err
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.use(func(e *engine) error {
		t := transaction{entries: entries, undo: s.undo, n: n}
		err := s.write(e, &t)
		if errors.As(err, new(*store.UncertainError)) {
			s.undo = addedBy(s.undo, batch)
		}
		if err != nil {
			return err
		}
		s.undo = nil
		s.compactSoon(e)
		return nil
	})
}

// seal has the log's other segment take what comes, and what it has had until
// now be put into the file meanwhile. commitMu is held.
func (s *Store) seal() error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if err := s.apply(); err != nil {
		return err
	}
	s.wal.seal()
	if s.ctx.Err() == nil {
		s.wg.Go(func() {
			s.fileMu.Lock()
			defer s.fileMu.Unlock()
			if err := s.apply(); err != nil {
				s.logStays(err)
			}
		})
	}
	return nil
}

// apply puts the segment that is sealed, if one is, into the file. What is
// done with before it gets there never does. fileMu is held.
func (s *Store) apply() error {
	g := s.wal.sealed()
	if g == nil {
		return nil
	}
	s.logged = s.logged[:0]
	eachEntry(g.data, func(x entry) { s.logged = append(s.logged, x) })
	t := transaction{entries: withoutEnded(s.logged), mark: g.last, n: g.need}
	put := func(e *engine) error {
		if err := s.write(e, &t); err != nil {
			return err
		}
		s.compactSoon(e)
		return nil
	}
	err := s.use(put)
	if isPanic(err) {
		err = s.use(put) // into what could be read of the broken file
	}
	clear(s.logged)
	if err == nil {
		s.wal.applied(g)
	}
	return err
}

// withoutEnded leaves out the Adds of jobs that later entries end. Their ends
// stay: an earlier attempt may have added the jobs.
func withoutEnded(entries []entry) []entry {
	ends := make(map[uint64]int) // where a job ends
	for i := range entries {
		if x := &entries[i]; x.kind == store.Done {
			ends[seqOf(x.key)] = i
		}
	}
	if len(ends) == 0 {
		return entries
	}
	kept := entries[:0]
	for i, x := range entries {
		if end, ok := ends[seqOf(x.key)]; ok && x.kind == store.Add && i < end {
			continue
		}
		kept = append(kept, x)
	}
	return kept
}

// flush puts all that the log has into the file. commitMu is held.
func (s *Store) flush() error {
	if s.wal.empty() {
		return nil
	}
	if err := s.seal(); err != nil {
		return err
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.apply()
}

// settle has the file have all that was committed before, for whoever reads
// it. Commits go on meanwhile.
func (s *Store) settle() error {
	err := s.use(func(*engine) error { return nil })
	if err != nil {
		return err
	}
	s.commitMu.Lock()
	if !s.wal.empty() {
		err = s.seal()
	}
	s.commitMu.Unlock()
	if err != nil {
		return err
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.apply()
}

// settleAfter is how long a batch is in the log at most before the file has it.
const settleAfter = time.Second

// settleLate puts what is in the log for long into the file, until the store is
// closed.
func (s *Store) settleLate() {
	for {
		select {
		case <-s.appended:
		case <-s.ctx.Done():
			return
		}
		select {
		case <-time.After(settleAfter):
		case <-s.ctx.Done():
			return
		}
		if err := s.settle(); err != nil {
			s.logStays(err)
		}
	}
}

func (s *Store) logStays(err error) {
	s.cfg.Logger.Warn("what was committed last stays in the log", "store", "disk:"+s.cfg.Dir, "err", err)
}

// lastPiece returns the highest number of a job whose payload is, or may be, in
// pieces. commitMu is held.
func (s *Store) lastPiece() uint64 { return max(s.pieces.Load(), s.wal.waiting().last) }

// makeRoom sees to it that there is room in the file for what the log has and n
// beside it. commitMu is held.
func (s *Store) makeRoom(n need) error {
	enough := false
	err := s.use(func(e *engine) error {
		missing, err := e.missing(s.wal.waiting().plus(n))
		enough = missing <= 0
		return err
	})
	if err != nil || enough {
		return err
	}
	grow := func() error {
		s.fileMu.Lock()
		defer s.fileMu.Unlock()
		return s.use(func(e *engine) error { return e.makeRoom(s.wal.waiting().plus(n)) })
	}
	err = grow()
	if errors.Is(err, store.ErrFull) && !s.wal.empty() { // less may do
		if err := s.flush(); err != nil {
			return err
		}
		err = grow()
	}
	return err
}

// transaction is what is to be written into the file at once.
type transaction struct {
	entries []entry
	undo    []uint64 // jobs to be removed before
	mark    uint64   // the number of the last frame of the log that is in the file then, if not 0
	n       need
}

// write puts t into the file. One that only takes away, or is in the log, and
// does not find the room for that in one piece, is written in halves: the first
// makes some for the second. fileMu is held.
func (s *Store) write(e *engine, t *transaction) error {
	err := s.transact(e, t)
	switch {
	case err == nil || !full(err):
		return err
	case (t.mark > 0 || !t.n.adds) && len(t.entries) > 1 && !errors.As(err, new(*store.UncertainError)):
		half := len(t.entries) / 2
		first := transaction{entries: t.entries[:half], undo: t.undo, n: t.n}
		first.n.adds = false
		if err := s.write(e, &first); err != nil {
			return err
		}
		return s.write(e, &transaction{entries: t.entries[half:], mark: t.mark, n: t.n})
	}
	return fullError(err)
}

// fullError wraps ErrFull as well if err is that of a full disk.
func fullError(err error) error {
	if full(err) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// transact writes t in one transaction of bbolt, for which the disk is asked to
// sync twice: what is new has to be there before the page that makes it count
// is written.
func (s *Store) transact(e *engine, t *transaction) error {
	w := writer{Store: s, arena: s.arena[:0]}
	err := e.update(func(tx *bolt.Tx) error { return w.write(tx, t) })
	if s.arena = w.arena; cap(s.arena) > keepArena {
		s.arena = nil
	}
	if unsynced := new(unsyncedError); errors.As(err, &unsynced) {
		return &store.UncertainError{Err: err}
	}
	if err == nil && w.large {
		err = s.findPieces(e)
	}
	if err != nil {
		return err
	}
	if e.touched += int64(1+t.n.scattered) * faultSize; e.touched >= dropEvery {
		e.drop()
	}
	return nil
}

// findPieces notes up to which job payloads are in pieces.
func (s *Store) findPieces(e *engine) error {
	return e.guard(func() error {
		return e.db.View(func(tx *bolt.Tx) error {
			s.pieces.Store(lastPiece(tx))
			return nil
		})
	})
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

// keep returns what f appends, in memory that lasts as long as the writer.
func (w *writer) keep(f func([]byte) []byte) []byte {
	start := len(w.arena)
	w.arena = f(w.arena)
	return w.arena[start:len(w.arena):len(w.arena)]
}

func (w *writer) add(x *entry) error {
	if w.large {
		if err := w.forgetPieces(x.key); err != nil { // of a job with that number
			return err
		}
	}
	seq := seqOf(x.key)
	for i := range pieces(len(x.payload)) {
		w.large = true
		piece := x.payload[i*pieceSize : min((i+1)*pieceSize, len(x.payload))]
		key := pieceKey(seq, i)
		w.note(bodiesName, key)
		value := w.keep(func(b []byte) []byte { return appendSealed(b, bodiesName, key, piece) })
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
	return w.jobs.Put(x.key, w.keep(func(b []byte) []byte {
		if body != nil {
			return store.AppendHead(b, r, *body)
		}
		return store.AppendRecord(b, r)
	}))
}

// forget removes a job.
func (w *writer) forget(key []byte) error {
	if w.large {
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
