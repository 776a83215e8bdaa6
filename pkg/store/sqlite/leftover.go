package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// clearLeftovers logs the files that a killed process, or a person, left next
// to the database, and removes those that only a salvage needs. mu is held.
func (s *Store) clearLeftovers() error {
	if size, err := fileSize(s.path + salvaging); err != nil {
		return err
	} else if size >= 0 {
		removeDatabase(s.path + salvaging)
		s.cfg.Logger.Warn("unfinished file removed", "store", "sqlite:"+s.cfg.File, "file", s.path+salvaging)
	}
	if kept, _ := filepath.Glob(escapeGlob(s.path) + ".broken-*"); len(kept) > 0 {
		s.cfg.Logger.Warn("broken files are kept: remove them when nobody needs them", "store", "sqlite:"+s.cfg.File, "files", kept)
	}
	if size, err := fileSize(s.path + ".corrupt"); err == nil && size >= 0 {
		s.cfg.Logger.Warn("records that were set aside are kept: remove the file when nobody needs it", "store", "sqlite:"+s.cfg.File, "file", s.path+".corrupt", "bytes", size)
	}
	return nil
}

// salvageWithoutFile makes a database from FILE-wal if FILE itself is missing:
// SQLite would remove FILE-wal. It logs missing files.
func (s *Store) salvageWithoutFile() error {
	size, err := fileSize(s.path)
	if err != nil {
		return err
	}
	logged, err := fileSize(s.path + "-wal")
	if err != nil {
		return err
	}
	if size > 0 {
		if logged < 0 && s.isInWAL() {
			s.cfg.Logger.Warn("FILE-wal is missing, and the database was not closed: its last batches are lost", "store", "sqlite:"+s.cfg.File, "missing", s.path+"-wal")
		}
		return nil
	}
	if logged <= walHeader {
		if kept, _ := filepath.Glob(escapeGlob(s.path) + ".broken-*"); len(kept) > 0 {
			s.cfg.Logger.Error("the database is missing: a new one is made", "store", "sqlite:"+s.cfg.File)
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
	return s.salvage("the database is missing, and FILE-wal is there", true)
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

// fileSize returns the size of a file, or -1 if it does not exist.
func fileSize(name string) (int64, error) {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// escapeGlob returns the pattern that matches a name and no other.
func escapeGlob(name string) string {
	return strings.NewReplacer("*", `[*]`, "?", `[?]`, "[", `[[]`, `\`, `[\]`).Replace(name)
}
