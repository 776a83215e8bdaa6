package sqlite

import (
	"os"
	"strings"

	"gm/pkg/store/internal/filestore"
)

// clearLeftovers logs the files that a killed process or a person left next to the
// database, and removes those that only a salvage needs. mu is held.
func (s *Store) clearLeftovers() error {
	if size, err := filestore.FileSize(s.path + salvaging); err != nil {
		return err
	} else if size >= 0 {
		removeDatabase(s.path + salvaging)
		s.base.Log.Warn("unfinished file removed", "file", s.path+salvaging)
	}
	s.base.LogKept(s.path, s.asideFile())
	return nil
}

// salvageWithoutFile makes a database from FILE-wal if FILE itself is missing:
// SQLite would remove FILE-wal. It logs missing files.
func (s *Store) salvageWithoutFile() error {
	size, err := filestore.FileSize(s.path)
	if err != nil {
		return err
	}
	logged, err := filestore.FileSize(s.path + "-wal")
	if err != nil {
		return err
	}
	if size > 0 {
		if logged < 0 && s.isInWAL() {
			s.base.Log.Warn("FILE-wal is missing, and the database was not closed: its last batches are lost", "missing", s.path+"-wal")
		}
		return nil
	}
	if logged <= walHeader {
		if len(filestore.BrokenFiles(s.path)) > 0 {
			s.base.Log.Error("the database is missing: a new one is made")
		}
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return s.salvage("the database is missing, but FILE-wal exists", true)
}

// isInWAL reports whether the header of the database names a FILE-wal, which it
// does until the database is closed.
func (s *Store) isInWAL() bool {
	f, err := os.Open(s.path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 20)
	_, err = f.ReadAt(head, 0)
	return err == nil && strings.HasPrefix(string(head), magic) && head[18] == 2
}
