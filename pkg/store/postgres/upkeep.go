package postgres

import (
	"context"
	"fmt"
)

// Compact implements [store.Compacter]. It returns the space of deleted rows to the
// file system. Commits wait meanwhile, because the server rewrites the tables.
func (s *Store) Compact(ctx context.Context) error {
	err := s.link.Do(ctx, nil, func(session *session) error {
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
