package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gm/pkg/store"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	if err := s.Caps().RefuseBatch(batch); err != nil {
		return s.fail("commit to", err)
	}
	adds := slices.ContainsFunc(batch, func(op store.Op) bool { return op.Kind == store.Add || op.Kind == store.Put })
	err := s.write(ctx, "commit to", adds, func(w *writer) error { return w.apply(batch) })
	if !adds && len(batch) > 1 && errors.Is(err, store.ErrFull) {
		// What only takes away needs little room for a part of it, and the
		// same again for the next.
		half := len(batch) / 2
		if err = s.Commit(ctx, batch[:half]); err == nil {
			err = s.Commit(ctx, batch[half:])
		}
	}
	return err
}

// write calls f in a transaction, again if the file turns out to be damaged
// and could be mended, or the disk full, and FILE-wal has room from its start.
// What is what is done, for the error.
func (s *Store) write(ctx context.Context, what string, adds bool, f func(*writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mend := [...]func(error) error{s.reindex, s.rebuild}
	for i, over := 0, false; ; {
		w, err := s.open()
		if err != nil {
			return err
		}
		if err := s.watch.Check(); err != nil {
			return s.fail(what, err)
		}
		err = w.transact(ctx, adds, func() error { return f(w) })
		if err == nil {
			return nil
		}
		if errors.Is(err, store.ErrFull) && !over && w.startOver() {
			over = true
			continue
		}
		if !broken(err) || i == len(mend) {
			return s.fail(what, err)
		}
		if err := mend[i](err); err != nil && !broken(err) {
			return s.fail("mend", err)
		}
		i++
	}
}

// reindex makes the indexes anew, from the tables. mu is held.
func (s *Store) reindex(why error) error {
	s.skip("indexes", fmt.Errorf("made anew: %w", why))
	return s.writer.Exec("REINDEX")
}
