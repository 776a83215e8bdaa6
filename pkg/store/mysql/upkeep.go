package mysql

import (
	"context"
	"fmt"
)

// Compact implements [store.Compacter]. It returns the space of deleted rows to the
// file system. Commits wait meanwhile, because the server rewrites the tables.
func (s *Store) Compact(ctx context.Context) error {
	return s.maintainTables(ctx, "OPTIMIZE", func(table, kind, text string) error {
		if kind == "error" {
			return fmt.Errorf("compact: %s: %s", table, text)
		}
		return nil
	})
}

// Check implements [store.Checker]. The server checks its tables, and then Check
// reads all jobs and extras. It numbers gearmand's jobs, unless Config.AsIs is set.
func (s *Store) Check(ctx context.Context, report func(string)) error {
	err := s.maintainTables(ctx, "CHECK", func(table, kind, text string) error {
		if kind != "note" && (kind != "status" || text != "OK") {
			report(fmt.Sprintf("%s: %s", table, text))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.sqlStore.Check(ctx, report)
}

// maintainTables runs a statement on the tables, and calls f for each row of the
// answer: it names a table, the kind of a message, and its text.
func (s *Store) maintainTables(ctx context.Context, verb string, f func(table, kind, text string) error) error {
	return s.link.Do(ctx, nil, func(session *session) error {
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
