package sqlite

import (
	"context"
	"fmt"

	"gm/pkg/store"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, batch []store.Op) error {
	for i := range batch {
		if j := batch[i].Record; batch[i].Kind == store.Add && len(j.Payload) > maxPayload {
			return s.fail("commit to", fmt.Errorf("payload of %d bytes: the limit is %d", len(j.Payload), maxPayload))
		}
	}
	return s.write(ctx, "commit to", func(w *writer) error { return w.apply(batch) })
}

// write calls f in a transaction, again if the file turns out to be damaged
// and could be mended. What is what is done, for the error.
func (s *Store) write(ctx context.Context, what string, f func(*writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mend := [...]func(error) error{s.reindex, s.rebuild}
	for i := 0; ; i++ {
		w, err := s.open()
		if err != nil {
			return err
		}
		err = w.transact(ctx, func() error { return f(w) })
		if err == nil {
			return nil
		}
		if !broken(err) || i == len(mend) {
			return s.fail(what, err)
		}
		if err := mend[i](err); err != nil && !broken(err) {
			return s.fail("mend", err)
		}
	}
}

// reindex makes the indexes anew, from the tables. mu is held.
func (s *Store) reindex(why error) error {
	s.skip("indexes", fmt.Errorf("made anew: %w", why))
	return s.writer.Exec("REINDEX")
}
