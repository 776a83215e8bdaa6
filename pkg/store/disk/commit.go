package disk

import (
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/internal/filestore"
)

// Commit implements store.Store. It writes the batch to the end of the log, over
// blocks that the disk has already, and syncs once. A large batch becomes a
// transaction of bbolt at once.
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
		pageSize, s.encoder.sealing = e.PageSize(), e.sealing
		return nil
	})
	if err == nil {
		err = s.base.Watch.Check()
	}
	if err == nil && s.wal.suspect {
		if err = s.flushLogLocked(); err == nil {
			s.wal.suspect = false
		}
	}
	if err != nil {
		return err
	}
	entries, size := s.encoder.encodeBatch(batch)
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
	if err := s.wal.appendBatch(entries, n); err != nil {
		return &store.UncertainError{Err: filestore.MarkFull(err)}
	}
	select {
	case s.appended <- struct{}{}:
	default:
	}
	return nil
}

// commitDirectly writes the log and then a batch into the file. commitMu is held.
func (s *Store) commitDirectly(entries []entry, n need, batch []store.Op) error {
	if err := s.flushLogLocked(); err != nil {
		return err
	}
	if err := s.makeRoom(n); err != nil {
		return err
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.use(func(e *engine) error {
		t := transaction{entries: entries, undo: s.undo, parts: !n.adds, scattered: n.scattered}
		err := s.writeTransaction(e, &t)
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

// lastPiece returns the highest number of a job whose payload is or may be in
// pieces. commitMu is held.
func (s *Store) lastPiece() uint64 { return max(s.pieces.Load(), s.wal.waiting().last) }

// makeRoom reserves room in the file for the log and for n besides. commitMu is
// held.
func (s *Store) makeRoom(n need) error {
	enough := false
	err := s.use(func(e *engine) error {
		missing, err := e.Missing(s.wal.waiting().plus(n).room())
		enough = missing <= 0
		return err
	})
	if err != nil || enough {
		return err
	}
	grow := func() error {
		s.fileMu.Lock()
		defer s.fileMu.Unlock()
		return s.use(func(e *engine) error { return e.MakeRoom(s.wal.waiting().plus(n).room()) })
	}
	err = grow()
	if errors.Is(err, store.ErrFull) && !s.wal.empty() { // the log may need less than was reserved for it
		if err := s.flushLogLocked(); err != nil {
			return err
		}
		err = grow()
	}
	return err
}

// transaction is a change of the file.
type transaction struct {
	entries []entry
	undo    []uint64 // jobs to remove before
	mark    uint64   // number of the log's last frame that the file has afterwards, if not 0
	highest uint64   // highest number of a job that was ever added, also if entries leave it out
	parts   bool     // it may be written in parts: it only removes, or is in the log

	scattered int // number of places of the file that it touches, besides the end
}

// writeTransaction writes t into the file. If there is not enough room, and t may
// be written in parts, it writes one half after the other: the first makes room
// for the second. fileMu is held.
func (s *Store) writeTransaction(e *engine, t *transaction) error {
	err := s.transact(e, t)
	switch {
	case err == nil || !filestore.IsFull(err):
		return err
	case t.parts && len(t.entries) > 1 && !errors.As(err, new(*store.UncertainError)):
		first, second := *t, *t
		half := len(t.entries) / 2
		first.entries, first.mark, first.highest = t.entries[:half], 0, 0
		second.entries, second.undo = t.entries[half:], nil
		if err := s.writeTransaction(e, &first); err != nil {
			return err
		}
		return s.writeTransaction(e, &second)
	}
	return filestore.MarkFull(err)
}

// transact writes t in one transaction of bbolt. bbolt syncs twice: new pages
// must be on the disk before the meta page that makes them count.
func (s *Store) transact(e *engine, t *transaction) error {
	w := writer{sealing: e.sealing, arena: s.arena, changed: s.changed}
	err := e.Update(func(tx *bolt.Tx) error { return w.write(tx, t) })
	s.arena = w.arena
	s.arena.reset()
	if unsynced := new(boltfile.UnsyncedError); errors.As(err, &unsynced) {
		return &store.UncertainError{Err: err}
	}
	if err != nil {
		return err
	}
	s.pieces.Store(w.last)
	if e.Touch(int64(1+t.scattered) * boltfile.PlaceSize) {
		e.Drop()
	}
	return nil
}

// addedBy appends the numbers of the jobs that batch adds.
func addedBy(seqs []uint64, batch []store.Op) []uint64 {
	for _, op := range batch {
		if op.Kind == store.Add {
			seqs = append(seqs, op.Record.Seq)
		}
	}
	return seqs
}
