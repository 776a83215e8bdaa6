//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// openFile opens the database, and a journal. It makes a new database from one
// that was not closed or is damaged. commitMu and mu are held.
func (s *Store) openFile() error {
	if err := s.finishSwap(); err != nil {
		return err
	}
	if err := s.clearLeftovers(); err != nil {
		return err
	}
	if err := s.undoLast(); err != nil {
		return err
	}
	if err := s.prepareTable(); err != nil {
		return err
	}
	if err := s.setJournalAside(); err != nil {
		return err
	}
	if _, err := filestore.MakeFile(s.path); err != nil {
		return err
	}
	d, err := s.openDatabase(s.path, 0)
	if err != nil {
		return err
	}
	if d, ok := d.(*tree); ok {
		if err := errors.Join(d.openLog(), filestore.SyncDir(filepath.Dir(s.path))); err != nil {
			return errors.Join(err, d.abandon())
		}
		s.db = d
		return nil
	}
	j, err := openJournal(s.path + ".journal")
	if err != nil {
		return errors.Join(err, d.close())
	}
	if err := filestore.SyncDir(filepath.Dir(s.path)); err != nil { // the journal may be new
		return errors.Join(err, d.close(), j.file.Close())
	}
	clear(s.undo)
	s.db, s.journal = d, j
	return nil
}

// prepareTable makes sure that the library can open the database, if it exists. It
// closes the file at the end: closing it later would release the library's lock.
func (s *Store) prepareTable() error {
	logged, err := filestore.FileSize(s.path + ".journal")
	if err != nil {
		return err
	}
	t, err := openTable(s.path)
	if errors.Is(err, os.ErrNotExist) && logged > journalHead {
		t, err = s.makeEmpty()
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer t.closeFile()
	if info, err := t.file.Stat(); err == nil && info.Size() == 0 && logged <= journalHead {
		return nil
	}
	return s.verifyTable(t)
}

// openDatabase opens a database of the library. It creates a missing one, with at least
// that number of buckets.
func (s *Store) openDatabase(path string, buckets int64) (database, error) {
	if s.isTree {
		d, err := openTree(path, max(buckets, treeBuckets))
		if err != nil {
			return nil, err
		}
		return d, nil
	}
	d, err := openHash(path, max(buckets, defaultBuckets))
	if err != nil {
		return nil, err
	}
	return d, nil
}

// verifyTable verifies a database, and makes a new one from it if necessary. A B+ tree
// database that was not closed is valid once its last transaction is undone. Its free
// blocks stay unused until it is compacted.
func (s *Store) verifyTable(t *table) error {
	err, fileSize := t.damage, t.size
	switch {
	case err != nil:
		t.isTree = s.isTree // the header may be wrong
	case t.isTree != s.isTree:
		return fmt.Errorf("it is %s, which does not match its name", kindOf(t.isTree))
	case t.isTree && t.open:
		t.size = t.stated // the file may be larger
	}
	if err == nil && (!t.open || t.isTree) {
		err = t.verify(func(_ *record, x *entry) { s.noteNumber(x) })
		if err == nil {
			return nil
		}
	}
	t.size = fileSize
	damage := err
	err = s.salvage(t, damage)
	if damage == nil && errors.Is(filestore.MarkFull(err), store.ErrFull) && s.mend(t) == nil {
		return nil
	}
	return err
}

// kindOf names a kind of database.
func kindOf(isTree bool) string {
	if isTree {
		return "a B+ tree database"
	}
	return "a hash database"
}
