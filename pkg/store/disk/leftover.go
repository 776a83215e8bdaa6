package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// clearLeftovers logs which files a process that was killed, or a person, left
// in the directory, and deals with those that are in the way. A salvaged file
// becomes the queue's if there is no other: gm once moved the broken one away
// first. mu is held.
func (s *Store) clearLeftovers() error {
	missing, err := isMissing(s.file())
	if err != nil {
		return err
	}
	for _, what := range []string{"salvage", "compact"} {
		name := s.temporary(what)
		gone, err := isMissing(name)
		if err != nil {
			return err
		}
		if gone { // also if it is empty
			_, err = s.files.remove(name)
		} else if !missing {
			_, err = s.files.remove(name)
			s.cfg.Logger.Warn("unfinished file removed", "store", "disk:"+s.cfg.Dir, "file", name)
		} else if missing, err = s.adoptFile(what); err == nil && missing {
			_, err = s.setFileAside(name)
		}
		if err != nil {
			return err
		}
	}
	s.logKept(missing)
	return nil
}

// isMissing reports whether a file is not there or has nothing in it.
func isMissing(name string) (bool, error) {
	info, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return err == nil && info.Size() == 0, err
}

// adoptFile makes the file that a salvage left the queue's file, which is
// missing, if every page of it is whole. It reports whether the queue's file is
// missing still. A compaction never leaves one without the other.
func (s *Store) adoptFile(what string) (missing bool, err error) {
	if what != "salvage" {
		return true, nil
	}
	name := s.temporary(what)
	f, err := os.Open(name)
	if err != nil {
		return true, err
	}
	m, broken := readMeta(f)
	if broken == nil {
		_, broken = verify(f, m)
	}
	if err := f.Close(); err != nil {
		return true, err
	}
	if isReadError(broken) {
		return true, broken
	}
	if broken != nil {
		return true, nil
	}
	if err := errors.Join(s.files.rename(name, s.file()), s.files.syncDir(s.cfg.Dir)); err != nil {
		return true, err
	}
	s.cfg.Logger.Warn("queue.db was missing: the salvaged file takes its place", "store", "disk:"+s.cfg.Dir, "file", name)
	return false, nil
}

// setFileAside gives a file that is not used a name under which it is kept.
func (s *Store) setFileAside(name string) (kept string, err error) {
	kept = s.brokenName()
	if err := errors.Join(s.files.rename(name, kept), s.files.syncDir(s.cfg.Dir)); err != nil {
		return "", err
	}
	s.cfg.Logger.Warn("file set aside", "store", "disk:"+s.cfg.Dir, "file", name, "kept", kept)
	return kept, nil
}

// keepBroken keeps a file that is about to be replaced, and returns under which
// name. A process that was killed may have done it before.
func (s *Store) keepBroken(name string) (kept string, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	for _, kept := range s.broken() {
		if other, err := os.Stat(kept); err == nil && os.SameFile(info, other) {
			return kept, nil
		}
	}
	kept = s.brokenName()
	return kept, errors.Join(s.files.keepCopy(name, kept), s.files.syncDir(s.cfg.Dir))
}

// brokenName returns a new name for a file that is set aside.
func (s *Store) brokenName() string {
	return s.temporary("broken-" + time.Now().UTC().Format("20060102T150405.000000"))
}

// broken returns the names of the files that were set aside.
func (s *Store) broken() []string {
	entries, _ := os.ReadDir(s.cfg.Dir)
	var names []string
	for _, x := range entries {
		if strings.HasPrefix(x.Name(), "queue.db.broken-") {
			names = append(names, filepath.Join(s.cfg.Dir, x.Name()))
		}
	}
	return names
}

// logKept logs what is kept in the directory for a person, and what is missing
// there, as a part of the store that was lost is.
func (s *Store) logKept(missing bool) {
	if kept := s.broken(); len(kept) > 0 {
		s.cfg.Logger.Warn("broken files are kept: remove them when nobody needs them", "store", "disk:"+s.cfg.Dir, "files", kept)
	}
	if info, err := os.Stat(s.asideFile()); err == nil {
		s.cfg.Logger.Warn("what was set aside is kept: remove the file when nobody needs it", "store", "disk:"+s.cfg.Dir, "file", s.asideFile(), "bytes", info.Size())
	}
	var logs, lost []string
	for i := range 2 {
		if gone, err := isMissing(s.walFile(i)); err == nil && gone {
			lost = append(lost, s.walFile(i))
		} else {
			logs = append(logs, s.walFile(i))
		}
	}
	switch {
	case missing && len(logs)+len(s.broken()) > 0:
		s.cfg.Logger.Error("queue.db is missing: all that is left are the last batches, if the log has them", "store", "disk:"+s.cfg.Dir, "log", logs)
	case !missing && len(lost) > 0:
		s.cfg.Logger.Warn("a file of the log is missing: if the store was not closed, its last batches are lost", "store", "disk:"+s.cfg.Dir, "missing", lost)
	}
}
