package disk

import (
	"errors"
	"os"

	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/internal/filestore"
)

// clearLeftovers logs the files that a killed process, or a person, left in the
// directory, and removes or renames those that are in the way. A salvaged file
// becomes the queue's if there is no other: earlier versions of gm moved the
// broken one away first. mu is held.
func (s *Store) clearLeftovers() error {
	missing, err := isMissing(s.file())
	if err != nil {
		return err
	}
	for _, purpose := range []string{"salvage", "compact"} {
		name := s.temporary(purpose)
		gone, err := isMissing(name)
		if err != nil {
			return err
		}
		if gone { // also if it is empty
			_, err = s.files.Remove(name)
		} else if !missing {
			_, err = s.files.Remove(name)
			s.base.Log.Warn("unfinished file removed", "file", name)
		} else if missing, err = s.adoptFile(purpose); err == nil && missing {
			_, err = s.setFileAside(name)
		}
		if err != nil {
			return err
		}
	}
	s.logKept(missing)
	return nil
}

// isMissing reports whether a file does not exist or is empty.
func isMissing(name string) (bool, error) {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return err == nil && info.Size() == 0, err
}

// adoptFile makes the file that a salvage left the queue's file, which is missing,
// if every page of it is whole. It reports whether the queue's file is still
// missing. A compaction never leaves its file without the queue's.
func (s *Store) adoptFile(purpose string) (missing bool, err error) {
	if purpose != "salvage" {
		return true, nil
	}
	name := s.temporary(purpose)
	f, err := os.Open(name)
	if err != nil {
		return true, err
	}
	_, _, broken := verifyJobs(f)
	if err := f.Close(); err != nil {
		return true, err
	}
	if boltfile.IsReadError(broken) {
		return true, broken
	}
	if broken != nil {
		return true, nil
	}
	if err := errors.Join(s.files.Rename(name, s.file()), s.files.SyncDir(s.cfg.Dir)); err != nil {
		return true, err
	}
	s.base.Log.Warn("queue.db was missing: the salvaged file takes its place", "file", name)
	return false, nil
}

// setFileAside renames a file that is not used, so that it is kept.
func (s *Store) setFileAside(name string) (kept string, err error) {
	kept = filestore.BrokenName(s.file())
	if err := errors.Join(s.files.Rename(name, kept), s.files.SyncDir(s.cfg.Dir)); err != nil {
		return "", err
	}
	s.base.Log.Warn("file set aside", "file", name, "kept", kept)
	return kept, nil
}

// keepBroken keeps a file that is about to be replaced under another name, which
// it returns. A process that was killed may have done it before.
func (s *Store) keepBroken(name string) (kept string, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	for _, kept := range filestore.BrokenFiles(s.file()) {
		if other, err := os.Stat(kept); err == nil && os.SameFile(info, other) {
			return kept, nil
		}
	}
	kept = filestore.BrokenName(s.file())
	return kept, errors.Join(s.files.KeepCopy(name, kept), s.files.SyncDir(s.cfg.Dir))
}

// logKept logs the files that are kept for a person, and those that are missing.
func (s *Store) logKept(missing bool) {
	kept := s.base.LogKept(s.file(), s.asideFile())
	var logs, lost []string
	for i := range 2 {
		if gone, err := isMissing(s.walFile(i)); err == nil && gone {
			lost = append(lost, s.walFile(i))
		} else {
			logs = append(logs, s.walFile(i))
		}
	}
	switch {
	case missing && (len(logs) > 0 || kept):
		s.base.Log.Error("queue.db is missing: only the last batches are left, if the log has them", "log", logs)
	case !missing && len(lost) > 0:
		s.base.Log.Warn("a file of the log is missing: if the store was not closed, its last batches are lost", "missing", lost)
	}
}
