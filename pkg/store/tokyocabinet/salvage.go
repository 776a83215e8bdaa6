//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gm/pkg/store/internal/filestore"
)

// salvage makes a new database from the readable records of a table and, unless
// the table was closed, from the journal. Damage is the reason, or nil.
func (s *Store) salvage(t *table, damage error) error {
	const suffix = salvaging
	buckets := max(defaultBuckets, t.size/256)
	if s.isTree {
		buckets = max(treeBuckets, t.size/4096)
	}
	if _, err := filestore.MakeFile(s.path + suffix); err != nil {
		return err
	}
	if err := filestore.KeepMode(s.path+suffix, s.path); err != nil {
		return err
	}
	d, err := s.openDatabase(s.path+suffix, buckets)
	if err != nil {
		_ = os.Remove(s.path + suffix) // it may have filled the disk
		return errors.Join(filestore.ProbeRoom(s.path, 4*buckets+64<<10), err)
	}
	c := salvager{Store: s, db: d}
	err = errors.Join(c.copyTable(t), d.sync(), d.close())
	if err == nil && damage != nil && !t.isTable && c.ours == 0 {
		err = damage
	}
	if err != nil {
		err = errors.Join(filestore.ProbeRoom(s.path, 1<<20), err)
		_ = os.Remove(s.path + suffix)
		return err
	}
	if damage != nil {
		s.base.Skip("database", fmt.Errorf("%w; kept of it: %d jobs and extras", damage, c.kept))
	}
	if damage != nil || len(c.faults) > 0 {
		name := filestore.BrokenName(s.path)
		if err := errors.Join(os.Link(s.path, name), filestore.SyncDir(filepath.Dir(s.path))); err != nil {
			return err
		}
		s.base.Log.Warn("the damaged database is kept", "as", name)
	}
	s.reportFaults(c.faults)
	if err := s.writeAside(c.faults); err != nil {
		s.base.Log.Error("damaged records are only in the database that is kept", "err", err)
	}
	if err := errors.Join(filestore.SyncFile(s.path+suffix), os.Rename(s.path+suffix, s.path+salvaged)); err != nil {
		return err
	}
	return s.finishSwap()
}

// salvaged is the suffix of a new database that is whole, until it replaces the
// old one.
const salvaged = ".salvaged"

// finishSwap replaces the old database with the salvaged one, which has the
// changes of the journal.
func (s *Store) finishSwap() error {
	if _, err := os.Stat(s.path + salvaged); err != nil {
		return nil
	}
	if err := os.Rename(s.path+salvaged, s.path); err != nil {
		return err
	}
	for _, suffix := range []string{".journal", ".wal"} {
		if err := os.Remove(s.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	s.base.Log.Info("a new database was made")
	return filestore.SyncDir(filepath.Dir(s.path))
}

// salvager copies records into a new database.
type salvager struct {
	*Store
	db     database
	kept   int
	ours   int // number of these that have a checksum
	faults []fault
}

// maxFaults is the maximum number of records that are reported one by one.
const maxFaults = 10_000

// copyTable copies the records of a table, and then makes the changes of the journal
// and of the batch that was made only in part.
func (c *salvager) copyTable(t *table) error {
	err := t.eachRecord(c.putRecord, func(offset int64, err error) {
		if rest, readErr := t.isZero(offset); readErr == nil && rest {
			return // the library makes files larger than necessary
		}
		c.noteFault(fault{where: fmt.Sprintf("offset %d", offset), why: err})
	})
	if err != nil {
		return err
	}
	err = readJournal(c.path+".journal", c.makeChange, func(err error) {
		c.noteFault(fault{where: "journal", why: err})
	})
	if err != nil {
		return err
	}
	for key, old := range c.undo {
		if err := c.makeChange(change{key, old}); err != nil {
			return err
		}
	}
	return nil
}

// putRecord copies a record of a hash database, or the records of a page.
func (c *salvager) putRecord(r *record) error {
	if !c.isTree {
		return c.putEntry(string(r.key), r.value)
	}
	p, err := parsePage(r.key, r.value)
	if err != nil {
		c.noteFault(fault{key: string(r.key), value: r.value, why: err})
	}
	if p == nil {
		return nil
	}
	for _, x := range p.pairs {
		if err := c.putEntry(string(x.key), x.value); err != nil {
			return err
		}
	}
	return nil
}

// makeChange makes a change in the new database.
func (c *salvager) makeChange(x change) error {
	if x.value == nil {
		return c.db.remove(x.key)
	}
	return c.putEntry(x.key, x.value)
}

// putEntry copies a record, unless it is damaged.
func (c *salvager) putEntry(key string, v []byte) error {
	x, err := decode([]byte(key), v)
	if err != nil {
		c.noteFault(fault{key: key, value: v, why: err})
		return nil
	}
	c.kept++
	if !x.foreign {
		c.ours++
	}
	c.noteNumber(x)
	return c.db.put(key, v)
}

// noteFault records a damaged record, which is not copied.
func (c *salvager) noteFault(x fault) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, x)
	}
}
