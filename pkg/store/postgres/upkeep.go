package postgres

import (
	"context"
	"fmt"

	"gm/pkg/store"
)

// Compact returns the space of deleted rows to the file system. Commits wait
// meanwhile, as the server rewrites the tables.
func (s *Store) Compact(ctx context.Context) error {
	none := func() []uint64 { return nil }
	err := s.link.Do(ctx, none, func(session *session) error {
		tables := []string{s.db.table.jobs()}
		if s.db.extras {
			tables = append(tables, s.db.table.extras())
		}
		for _, name := range tables {
			if err := session.do(ctx, "VACUUM (FULL, ANALYZE) "+name); err != nil {
				return fmt.Errorf("vacuum %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

// Check reads all jobs and extras, as the server's own checksums and amcheck
// look below them. It numbers gearmand's jobs, unless Config.AsIs is set.
func (s *Store) Check(ctx context.Context, report func(string)) error {
	f := func(*store.Record, int) error { return nil }
	err := s.replay(ctx, "data", f, func(what string, err error) { report(fmt.Sprintf("%s: %v", what, err)) })
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if err := s.Extras(ctx, "", func(string, []byte) error { return nil }); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}
