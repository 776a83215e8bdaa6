//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"context"
	"errors"
	"os"

	"gm/pkg/store/internal/filestore"
)

// Check implements store.Checker. Without the lock, it reads the file in its present
// state; if a server has the file open, a change may be incomplete.
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		return s.checkOpen(report)
	}
	t, err := openTable(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return ctx.Err()
	}
	if err != nil {
		return s.base.Fail("check", err)
	}
	defer t.closeFile()
	if t.damage == nil && t.isTree && t.open {
		return s.checkUnclosed(t, report)
	}
	if t.damage == nil && t.open {
		report("it was not closed: the next server that opens it makes a new one from it")
	} else if err := t.verify(func(*record, *entry) {}); err != nil {
		report(err.Error())
	}
	return ctx.Err()
}

// checkUnclosed is Check for a B+ tree database that was not closed.
func (s *Store) checkUnclosed(t *table, report func(what string)) error {
	size, err := filestore.FileSize(s.path + walSuffix)
	if err != nil {
		return s.base.Fail("check", err)
	}
	t.size = t.stated
	if size > 0 {
		report("it was not closed: the next server that opens it undoes the unfinished batch")
	} else if err := t.verify(func(*record, *entry) {}); err != nil {
		report("it was not closed: " + err.Error())
	}
	return nil
}

// checkOpen is Check for a database that this store has open.
func (s *Store) checkOpen(report func(what string)) error {
	if err := s.db.sync(); err != nil {
		return s.base.Fail("check", err)
	}
	t, err := readTable(s.db.handle())
	if err != nil {
		return s.base.Fail("check", err)
	}
	if t.damage == nil {
		t.size = t.stated // the file may be larger than the database
	}
	if err := t.verify(func(*record, *entry) {}); err != nil {
		report(err.Error())
	}
	return nil
}
