//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gm/pkg/store/internal/lockfile"
)

// salvaging is the suffix of a new database while it is made.
const salvaging = ".salvaging"

// clearLeftovers logs the files that a killed process, or a person, left next
// to the database, and removes the one that only a salvage needs.
func (s *Store) clearLeftovers() error {
	store := "tokyocabinet:" + s.cfg.File
	err := os.Remove(s.path + salvaging)
	switch {
	case err == nil:
		s.cfg.Logger.Warn("unfinished file removed", "store", store, "file", s.path+salvaging)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	kept := s.broken()
	if len(kept) > 0 {
		s.cfg.Logger.Warn("broken files are kept: remove them when nobody needs them", "store", store, "files", kept)
	}
	if size, err := fileSize(s.path + ".corrupt"); err == nil && size >= 0 {
		s.cfg.Logger.Warn("records that were set aside are kept: remove the file when nobody needs it", "store", store, "file", s.path+".corrupt", "bytes", size)
	}
	size, err := fileSize(s.path)
	if err != nil {
		return err
	}
	logged, err := fileSize(s.path + ".journal")
	if size <= 0 && (logged > journalHead || len(kept) > 0) {
		s.cfg.Logger.Error("the database is missing: only the last batches are left, if the journal has them", "store", store, "journal", max(logged, 0))
	}
	return err
}

// makeEmpty makes an empty file for a missing database, so that salvage reads
// the journal.
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

// keepJournal sets a journal aside that is older than the database: another
// program has closed the database since, and may have changed it.
func (s *Store) keepJournal() error {
	name := s.path + ".journal"
	size, err := fileSize(name)
	if err != nil || size <= journalHead {
		return err
	}
	kept := s.brokenName() + ".journal"
	if err := errors.Join(os.Rename(name, kept), lockfile.SyncDir(filepath.Dir(s.path))); err != nil {
		return err
	}
	s.cfg.Logger.Warn("the journal is older than the database, which another program has closed: it is not read", "store", "tokyocabinet:"+s.cfg.File, "kept", kept)
	return nil
}

// brokenName returns a new name for a file that is set aside.
func (s *Store) brokenName() string {
	return s.path + ".broken-" + time.Now().UTC().Format("20060102T150405.000000")
}

// broken returns the names of the files that were set aside.
func (s *Store) broken() []string {
	entries, _ := os.ReadDir(filepath.Dir(s.path))
	var names []string
	for _, x := range entries {
		if strings.HasPrefix(x.Name(), filepath.Base(s.path)+".broken-") {
			names = append(names, filepath.Join(filepath.Dir(s.path), x.Name()))
		}
	}
	return names
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

// probeRoom returns an error if the disk has no room for size bytes: the
// library does not tell why it could not write.
func (s *Store) probeRoom(size int64) error {
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".room-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, size))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
