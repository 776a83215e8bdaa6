package mysql

import (
	"context"
	"fmt"

	"gm/pkg/store"
)

// Compact returns the space of deleted rows to the file system. Commits wait
// meanwhile, as the server rewrites the tables.
func (s *Store) Compact(ctx context.Context) error {
	return s.maintain(ctx, "OPTIMIZE", func(table, kind, text string) error {
		if kind == "error" {
			return fmt.Errorf("compact: %s: %s", table, text)
		}
		return nil
	})
}

// Check has the server check the tables, and reads all jobs and extras. It
// numbers gearmand's jobs, unless Config.AsIs is set.
func (s *Store) Check(ctx context.Context, report func(string)) error {
	err := s.maintain(ctx, "CHECK", func(table, kind, text string) error {
		if kind != "note" && (kind != "status" || text != "OK") {
			report(fmt.Sprintf("%s: %s", table, text))
		}
		return nil
	})
	if err != nil {
		return err
	}
	f := func(*store.Record) error { return nil }
	err = s.replay(ctx, "data", f, func(what string, err error) { report(fmt.Sprintf("%s: %v", what, err)) })
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if err := s.Extras(ctx, "", func(string, []byte) error { return nil }); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}

// maintain runs a statement on the tables whose answer is rows with the
// table, the operation, the kind of message and its text.
func (s *Store) maintain(ctx context.Context, verb string, f func(table, kind, text string) error) error {
	none := func() []uint64 { return nil }
	return s.link.Do(ctx, none, func(session *session) error {
		tables := s.db.table.jobs()
		if s.db.extras {
			tables += ", " + s.db.table.extras()
		}
		found, err := session.query(ctx, verb+" TABLE "+tables)
		if err != nil {
			return fmt.Errorf("%s tables: %w", verb, err)
		}
		for _, row := range found {
			if err := f(string(row[0]), string(row[2]), string(row[3])); err != nil {
				return err
			}
		}
		return nil
	})
}
