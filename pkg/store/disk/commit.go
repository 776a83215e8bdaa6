package disk

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
)

// Commit implements store.Store. A batch is written to the end of the log, for
// which the disk is asked to sync once, over blocks that it has already. What is
// too large for that becomes a transaction of bbolt at once.
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := s.Caps().RefuseBatch(batch); err != nil {
		return fmt.Errorf("commit to %s: %w", s.file(), err)
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
		pageSize, s.encoder.sealing = e.pageSize, e.sealing
		return nil
	})
	if err == nil {
		err = s.watch.Check()
	}
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
		if err := s.rotate(); err != nil {
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
		t := transaction{entries: entries, undo: s.undo, parts: !n.adds, scattered: n.scattered}
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
	highest uint64   // no job above it was ever added, not even one that entries leave out
	parts   bool     // it may be there in part: it only takes away, or is in the log

	scattered int // how many places of the file are touched, beside its end
}

// write puts t into the file. What does not find the room in one piece is
// written in halves, if it may be: the first makes some for the second. fileMu
// is held.
func (s *Store) write(e *engine, t *transaction) error {
	err := s.transact(e, t)
	switch {
	case err == nil || !full(err):
		return err
	case t.parts && len(t.entries) > 1 && !errors.As(err, new(*store.UncertainError)):
		first, second := *t, *t
		half := len(t.entries) / 2
		first.entries, first.mark, first.highest = t.entries[:half], 0, 0
		second.entries, second.undo = t.entries[half:], nil
		if err := s.write(e, &first); err != nil {
			return err
		}
		return s.write(e, &second)
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
	w := writer{sealing: e.sealing, arena: s.arena, changed: s.changed}
	err := e.update(func(tx *bolt.Tx) error { return w.write(tx, t) })
	s.arena = w.arena
	s.arena.reset()
	if unsynced := new(unsyncedError); errors.As(err, &unsynced) {
		return &store.UncertainError{Err: err}
	}
	if err != nil {
		return err
	}
	s.pieces.Store(w.last)
	if e.touched += int64(1+t.scattered) * faultSize; e.touched >= dropEvery {
		e.drop()
	}
	return nil
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
