package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if err := s.Caps().RefuseBatch(batch); err != nil {
		return s.base.Fail("commit to", err)
	}
	adds := slices.ContainsFunc(batch, func(op store.Op) bool { return op.Kind == store.Add || op.Kind == store.Put })
	err := s.write(ctx, "commit to", adds, func(w *writer) error {
		for _, id := range s.undo {
			if err := w.removeRow(id); err != nil {
				return fmt.Errorf("undo: %w", err)
			}
		}
		return w.applyBatch(batch)
	})
	if err == nil || isPanic(err) {
		s.noteUndo(batch, err)
	}
	if !adds && len(batch) > 1 && errors.Is(err, store.ErrFull) {
		// A batch that only removes needs little room for each of its parts.
		half := len(batch) / 2
		if err = s.Commit(ctx, batch[:half]); err == nil {
			err = s.Commit(ctx, batch[half:])
		}
	}
	return err
}

// noteUndo notes the jobs that the next batch must remove first, because the
// engine failed while it committed batch. Without an error, it forgets them.
func (s *Store) noteUndo(batch []store.Op, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.undo = nil
		return
	}
	for i := range batch {
		if batch[i].Kind == store.Add {
			s.undo = append(s.undo, int64(batch[i].Record.Seq))
		}
	}
}

// dropWriter closes the writer after a panic of the engine. The next use opens the file
// again. mu is held.
func (s *Store) dropWriter(w *writer) {
	s.ready.Store(false)
	s.writer = nil
	s.closeWithoutCheckpoint(w)
}

// replaceWriter replaces a connection that has allocated much memory. mu is held.
func (s *Store) replaceWriter(w *writer) {
	next, err := newWriter(s.path, s.cfg.Table, s.cfg.Sync)
	if err != nil {
		return // the next commit tries again
	}
	s.writer = next
	s.closeWithoutCheckpoint(w)
}

// closeWithoutCheckpoint closes a connection and leaves the content of FILE-wal there.
func (s *Store) closeWithoutCheckpoint(w *writer) {
	err := protect(func() error {
		_, err := w.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true)
		return err
	})
	if err := errors.Join(err, w.conn.close()); err != nil {
		s.base.Log.Warn("close connection", "err", err)
	}
}

// write calls f in a transaction. It calls f again if the file was damaged and has been
// mended, or if the disk is full and FILE-wal has room from its start. The error begins
// with operation.
func (s *Store) write(ctx context.Context, operation string, adds bool, f func(*writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mend := [...]func(error) error{s.reindex, s.rebuild}
	for i, rewound := 0, false; ; {
		w, err := s.open()
		if err != nil {
			return err
		}
		if err := s.base.Watch.Check(); err != nil {
			return s.base.Fail(operation, err)
		}
		cramped := w.cramped
		err = w.transact(ctx, adds, func() error { return f(w) })
		if cramped && !w.cramped {
			s.base.Watch.Set(s.path + "-wal")
		}
		if err == nil {
			s.last.Store(max(s.last.Load(), w.last))
			if w.heavy {
				s.replaceWriter(w)
			}
			return nil
		}
		if isPanic(err) {
			s.dropWriter(w)
			return s.base.Fail(operation, err)
		}
		if errors.Is(err, store.ErrFull) && !rewound && w.rewindWAL() {
			rewound = true
			continue
		}
		if !isBroken(err) || i == len(mend) {
			return s.base.Fail(operation, err)
		}
		if err := mend[i](err); err != nil && !isBroken(err) {
			return s.base.Fail("mend", err)
		}
		i++
	}
}

// reindex makes the indexes again from the tables. mu is held.
func (s *Store) reindex(why error) error {
	s.base.Skip("indexes", fmt.Errorf("made anew: %w", why))
	return s.writer.Exec("REINDEX")
}
