//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// journalLimit is the size in bytes after which the database is written to the
// disk and the journal starts again.
const journalLimit = 32 << 20

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if err := s.Caps().RefuseBatch(batch); err != nil {
		return s.base.Fail("commit to", err)
	}
	return s.write(ctx, "commit to", func(n *net) error {
		for i := range batch {
			if err := n.addOp(&batch[i]); err != nil {
				return fmt.Errorf("%v: %w", batch[i].Kind, err)
			}
		}
		return nil
	})
}

// write makes the changes that f adds to a net. The error begins with
// operation.
func (s *Store) write(ctx context.Context, operation string, f func(*net) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	if err := s.base.Watch.Check(); err != nil {
		return s.base.Fail(operation, err)
	}
	n := net{store: s, at: make(map[string]int)}
	err := f(&n)
	if err == nil && len(n.changes) > 0 {
		err = s.commitNet(&n)
	}
	if err != nil {
		return s.base.Fail(operation, filestore.MarkFull(err))
	}
	return nil
}

// commitNet makes the changes of a batch. commitMu is held.
func (s *Store) commitNet(n *net) error {
	room, puts := int64(0), false
	for _, c := range n.changes {
		room += int64(len(c.key)+len(c.value)) + 64
		puts = puts || c.value != nil
	}
	if d, ok := s.db.(*tree); ok {
		return s.commitTree(d, n, room, puts)
	}
	if puts {
		s.mu.Lock()
		err := reserve(s.db.handle(), s.db.size(), room+room/4+64<<10)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	before := s.journal.size
	if err := s.journal.appendBatch(n.changes); err != nil {
		if !puts && errors.Is(filestore.MarkFull(err), store.ErrFull) && !errors.As(err, new(*store.UncertainError)) {
			return s.removeDirectly(n)
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.makeChanges(n.changes); err != nil {
		return s.abandonBatch(n, before, err)
	}
	s.last = max(s.last, n.last)
	s.reserved = max(s.reserved, n.reserving)
	if s.journal.size > journalLimit {
		if err := s.checkpoint(); err != nil {
			s.base.Log.Error("the journal cannot start again and grows", "err", err)
		}
	}
	return nil
}

// commitTree makes changes in a B+ tree database, in a transaction of the
// library. After a failure, the database is closed, with its former content.
func (s *Store) commitTree(d *tree, n *net, room int64, puts bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := d.reserve(len(n.changes), room, puts); err != nil {
		if !puts && errors.Is(filestore.MarkFull(err), store.ErrFull) {
			return s.removeFromTree(n)
		}
		return err
	}
	err := d.begin()
	if err == nil {
		err = s.makeChanges(n.changes)
	}
	if err == nil {
		err = d.commit()
	}
	if err != nil {
		s.db = nil
		if undo := d.rollBack(); undo != nil {
			return &store.UncertainError{Err: errors.Join(err, undo)}
		}
		return err
	}
	s.last = max(s.last, n.last)
	s.reserved = max(s.reserved, n.reserving)
	if err := datasync(d.wal); err != nil { // otherwise the end of the transaction may be lost
		return &store.UncertainError{Err: err}
	}
	return nil
}

// removeFromTree removes records if the disk has no room for the log of a transaction.
// It moves no record to another page: a kill may break the tree, but leaves all other
// records in their pages.
func (s *Store) removeFromTree(n *net) error {
	if err := errors.Join(s.makeChanges(n.changes), s.db.sync()); err != nil {
		err = errors.Join(err, s.db.abandon())
		s.db = nil
		return &store.UncertainError{Err: err}
	}
	return nil
}

// removeDirectly removes records from the database if the disk has no room for the
// journal. The changes in the journal must be on the disk before that: otherwise they
// would be made again after a kill.
func (s *Store) removeDirectly(n *net) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkpoint(); err != nil {
		return err
	}
	if err := s.makeChanges(n.changes); err != nil {
		return s.abandonBatch(n, 0, err)
	}
	return s.db.sync()
}

// makeChanges makes changes in the database, first those that need room.
func (s *Store) makeChanges(changes []change) error {
	for _, c := range changes {
		if c.value == nil {
			continue
		}
		if s.failPut != nil {
			if err := s.failPut(); err != nil {
				return err
			}
		}
		if err := s.db.put(c.key, c.value); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if c.value == nil {
			if err := s.db.remove(c.key); err != nil {
				return err
			}
		}
	}
	return nil
}

// abandonBatch closes a database that may have a part of a batch. The next use makes a
// new database from it and the journal, without the changes of the batch.
func (s *Store) abandonBatch(n *net, journal int64, err error) error {
	for i, c := range n.changes {
		s.undo[c.key] = n.old[i]
	}
	err = errors.Join(err, s.journal.truncate(journal), s.db.abandon(), s.journal.file.Close())
	s.db, s.journal = nil, nil
	return &store.UncertainError{Err: err}
}

// checkpoint writes the database to the disk and starts the journal again. mu
// is held.
func (s *Store) checkpoint() error {
	if err := s.db.sync(); err != nil || s.journal == nil {
		return err
	}
	return s.journal.truncate(0)
}

// net is the combined effect of a batch: one change for each key.
type net struct {
	store   *Store
	changes []change
	old     [][]byte       // values before the batch, or nil
	at      map[string]int // index of the change of a key
	last    uint64         // the highest sequence of Adds

	reserving uint64 // new value of lastKey, or 0 if it does not change
}

// setValue sets the new value of a key, or nil to remove it. old is the value before the
// batch.
func (n *net) setValue(key string, value, old []byte) {
	if i, ok := n.at[key]; ok {
		n.changes[i].value = value
		return
	}
	n.at[key] = len(n.changes)
	n.changes = append(n.changes, change{key, value})
	n.old = append(n.old, old)
}

// addJob adds a new record. It replaces only a record of another program.
func (n *net) addJob(j *store.Record) {
	n.setValue(keyOf(j), valueOf(j), nil)
	n.last = max(n.last, j.Seq)
	if j.Seq > max(n.store.reserved, n.reserving) {
		n.reserving = j.Seq + numberBlock
		n.setValue(extraKey(lastKey), extraValue(lastKey, binary.LittleEndian.AppendUint64(nil, n.reserving)), n.store.reservedValue())
	}
}

// lastKey is the key of an extra for the store itself. Its value is above the
// number of any job so far, 8 bytes, little-endian: the last job may be gone.
// It is raised by numberBlock at a time, so that few batches write it.
const (
	lastKey     = "gm:last-number"
	numberBlock = 1 << 16
)

// reservedValue returns the value of lastKey's record, or nil if it does not exist.
func (s *Store) reservedValue() []byte {
	if s.reserved == 0 {
		return nil
	}
	return extraValue(lastKey, binary.LittleEndian.AppendUint64(nil, s.reserved))
}

// noteNumber records the number of an entry's job, or the value of lastKey.
func (s *Store) noteNumber(x *entry) {
	s.last = max(s.last, x.job.Seq)
	if x.extra && x.job.Unique == lastKey && len(x.job.Payload) == 8 {
		s.reserved = binary.LittleEndian.Uint64(x.job.Payload)
		s.last = max(s.last, s.reserved)
	}
}

// currentValue returns the value under a key after the changes so far, or nil.
func (n *net) currentValue(key string) ([]byte, error) {
	if i, ok := n.at[key]; ok {
		return n.changes[i].value, nil
	}
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	return n.store.db.get(key)
}

func (n *net) addOp(op *store.Op) error {
	switch op.Kind {
	case store.Add:
		n.addJob(op.Record)
		return nil
	case store.Done, store.Update:
		return n.addJobChange(op)
	}
	key := extraKey(op.Key)
	old, err := n.currentValue(key)
	if err != nil {
		return err
	}
	if op.Kind == store.Put {
		n.setValue(key, extraValue(op.Key, op.Value), old)
	} else {
		n.setValue(key, nil, old)
	}
	return nil
}

// addJobChange adds a Done or an Update.
func (n *net) addJobChange(op *store.Op) error {
	for i, key := range keysOf(op.Record) {
		old, err := n.currentValue(key)
		if err != nil {
			return err
		}
		j := jobOf(key, old, op.Record.Seq)
		if j == nil {
			continue
		}
		if op.Kind == store.Done {
			n.setValue(key, nil, old)
			return nil
		}
		j.Attempts, j.RunAt, j.Apart = op.Record.Attempts, op.Record.RunAt, i > 0
		n.setValue(key, valueOf(j), old)
		return nil
	}
	return nil
}

// jobOf returns the job of a record if it has that sequence, or nil.
func jobOf(key string, v []byte, seq uint64) *store.Record {
	if v == nil {
		return nil
	}
	x, err := decode([]byte(key), v)
	if err != nil || x.foreign || x.extra || x.job.Seq != seq {
		return nil
	}
	return &x.job
}
