//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"os"
	"path/filepath"

	"gm/pkg/store/internal/filestore"
)

// salvaging is the suffix of a new database while it is made.
const salvaging = ".salvaging"

// clearLeftovers logs the files that a killed process or a person left next to the
// database, and removes the one that only a salvage needs.
func (s *Store) clearLeftovers() error {
	err := os.Remove(s.path + salvaging)
	switch {
	case err == nil:
		s.base.Log.Warn("unfinished file removed", "file", s.path+salvaging)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	kept := s.base.LogKept(s.path, s.asideFile())
	size, err := filestore.FileSize(s.path)
	if err != nil {
		return err
	}
	logged, err := filestore.FileSize(s.path + ".journal")
	if size <= 0 && (logged > journalHead || kept) {
		s.base.Log.Error("the database is missing: only the last batches are left, if the journal has them", "journal", max(logged, 0))
	}
	return err
}

// makeEmpty creates an empty file for a missing database, so that salvage reads the
// journal.
func (s *Store) makeEmpty() (*table, error) {
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return openTable(s.path)
}

// setJournalAside renames a journal that is older than the database: another program
// has closed the database since, and may have changed it.
func (s *Store) setJournalAside() error {
	name := s.path + ".journal"
	size, err := filestore.FileSize(name)
	if err != nil || size <= journalHead {
		return err
	}
	kept := filestore.BrokenName(s.path) + ".journal"
	if err := errors.Join(os.Rename(name, kept), filestore.SyncDir(filepath.Dir(s.path))); err != nil {
		return err
	}
	s.base.Log.Warn("the journal is older than the database, which another program has closed: it is not read", "kept", kept)
	return nil
}
