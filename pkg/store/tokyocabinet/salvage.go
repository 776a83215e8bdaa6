//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/internal/lockfile"
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
	if err := s.keepJournal(); err != nil {
		return err
	}
	if _, err := lockfile.MakeFile(s.path); err != nil {
		return err
	}
	d, err := s.openDatabase(s.path, 0)
	if err != nil {
		return err
	}
	if d, ok := d.(*tree); ok {
		if err := errors.Join(d.openLog(), lockfile.SyncDir(filepath.Dir(s.path))); err != nil {
			return errors.Join(err, d.abandon())
		}
		s.hash = d
		return nil
	}
	j, err := openJournal(s.path + ".journal")
	if err != nil {
		return errors.Join(err, d.close())
	}
	if err := lockfile.SyncDir(filepath.Dir(s.path)); err != nil { // the journal may be new
		return errors.Join(err, d.close(), j.file.Close())
	}
	clear(s.undo)
	s.hash, s.journal = d, j
	return nil
}

// prepareTable makes sure that the library can open the database, or finds
// none. It closes the file at the end: closing it later would release the
// library's lock.
func (s *Store) prepareTable() error {
	logged, err := fileSize(s.path + ".journal")
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
	return s.openTable(t)
}

// openDatabase opens a database of the library. If it does not exist,
// openDatabase makes it, with at least that number of buckets.
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

// openTable verifies a database, and makes a new one from it if necessary. A B+
// tree database that was not closed is whole after its last transaction is
// undone. Its free blocks stay unused until it is compacted.
func (s *Store) openTable(t *table) error {
	err, whole := t.damage, t.size
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
	t.size = whole
	damage := err
	err = s.salvage(t, damage)
	if damage == nil && errors.Is(full(err), store.ErrFull) && s.mend(t) == nil {
		return nil
	}
	return err
}

// mend closes a hash database that was not closed, without a new file: the disk
// has no room for one. It must find each record, and room for the changes that
// only the journal has; otherwise it returns an error, and does not harm the
// database and the journal.
func (s *Store) mend(t *table) error {
	t.recount = true
	if err := t.verify(func(_ *record, x *entry) { s.noteNumber(x) }); err != nil {
		return err
	}
	var changes []change
	add := func(c change) error { changes = append(changes, c); return nil }
	var damage error
	err := readJournal(s.path+".journal", add, func(err error) { damage = err })
	if err = errors.Join(err, damage); err != nil {
		return err
	}
	for key, old := range s.undo {
		changes = append(changes, change{key, old})
	}
	if err := t.writeCounts(); err != nil {
		return err
	}
	d, err := openHash(s.path, defaultBuckets)
	if err != nil {
		return err
	}
	if err := errors.Join(s.remake(d, changes), d.sync()); err != nil {
		return errors.Join(err, d.abandon())
	}
	if err := os.Truncate(s.path+".journal", 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, d.abandon())
	}
	s.cfg.Logger.Warn("the disk is full: the database was closed without a new file", "store", "tokyocabinet:"+s.cfg.File)
	return d.close()
}

// remake makes the changes that a database does not have.
func (s *Store) remake(d *hash, changes []change) error {
	for _, c := range changes {
		there, err := d.get(c.key)
		switch {
		case err != nil:
			return err
		case c.value == nil:
			err = d.remove(c.key)
		default:
			x, wrong := decode([]byte(c.key), c.value)
			if wrong != nil {
				return wrong
			}
			s.noteNumber(x)
			if !bytes.Equal(there, c.value) {
				err = d.put(c.key, c.value)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// salvage makes a new database from the readable records of a table and, unless
// the table was closed, from the journal. Damage is the reason, or nil.
func (s *Store) salvage(t *table, damage error) error {
	const suffix = salvaging
	buckets := max(defaultBuckets, t.size/256)
	if s.isTree {
		buckets = max(treeBuckets, t.size/4096)
	}
	if _, err := lockfile.MakeFile(s.path + suffix); err != nil {
		return err
	}
	if err := lockfile.KeepMode(s.path+suffix, s.path); err != nil {
		return err
	}
	d, err := s.openDatabase(s.path+suffix, buckets)
	if err != nil {
		_ = os.Remove(s.path + suffix) // which may have filled the disk
		return errors.Join(s.probeRoom(4*buckets+64<<10), err)
	}
	c := salvager{Store: s, hash: d}
	err = errors.Join(c.run(t), d.sync(), d.close())
	if err == nil && damage != nil && !t.isTable && c.ours == 0 {
		err = damage
	}
	if err != nil {
		err = errors.Join(s.probeRoom(1<<20), err)
		_ = os.Remove(s.path + suffix)
		return err
	}
	if damage != nil {
		s.skip("database", fmt.Errorf("%w; kept of it: %d jobs and extras", damage, c.kept))
	}
	if damage != nil || len(c.faults) > 0 {
		name := s.brokenName()
		if err := errors.Join(os.Link(s.path, name), lockfile.SyncDir(filepath.Dir(s.path))); err != nil {
			return err
		}
		s.cfg.Logger.Warn("the damaged database is kept", "store", "tokyocabinet:"+s.cfg.File, "as", name)
	}
	s.reportFaults(c.faults)
	if err := s.writeAside(c.faults); err != nil {
		s.cfg.Logger.Error("damaged records are only in the database that is kept", "store", "tokyocabinet:"+s.cfg.File, "err", err)
	}
	if err := errors.Join(syncFile(s.path+suffix), os.Rename(s.path+suffix, s.path+salvaged)); err != nil {
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
	s.cfg.Logger.Info("a new database was made", "store", "tokyocabinet:"+s.cfg.File)
	return lockfile.SyncDir(filepath.Dir(s.path))
}

// salvager copies records into a new database.
type salvager struct {
	*Store
	hash   database
	kept   int
	ours   int // of these, those with a checksum
	faults []fault
}

// maxFaults is the maximum number of records that are reported one by one.
const maxFaults = 10_000

func (c *salvager) run(t *table) error {
	err := t.each(c.putRecord, func(offset int64, err error) {
		if rest, readErr := t.isZero(offset); readErr == nil && rest {
			return // the library makes a file larger than it needs
		}
		c.fault(fault{where: fmt.Sprintf("offset %d", offset), why: err})
	})
	if err != nil {
		return err
	}
	err = readJournal(c.path+".journal", c.change, func(err error) {
		c.fault(fault{where: "journal", why: err})
	})
	if err != nil {
		return err
	}
	for key, old := range c.undo {
		if err := c.change(change{key, old}); err != nil {
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
		c.fault(fault{key: string(r.key), value: r.value, why: err})
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

func (c *salvager) change(x change) error {
	if x.value == nil {
		return c.hash.remove(x.key)
	}
	return c.putEntry(x.key, x.value)
}

func (c *salvager) putEntry(key string, v []byte) error {
	x, err := decode([]byte(key), v)
	if err != nil {
		c.fault(fault{key: key, value: v, why: err})
		return nil
	}
	c.kept++
	if !x.foreign {
		c.ours++
	}
	c.noteNumber(x)
	return c.hash.put(key, v)
}

func (c *salvager) fault(x fault) {
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, x)
	}
}

// isZero reports whether all bytes from an offset on are zero.
func (t *table) isZero(offset int64) (bool, error) {
	b := make([]byte, 1<<20)
	for offset < t.size {
		n, err := t.file.ReadAt(b, offset)
		for _, c := range b[:n] {
			if c != 0 {
				return false, nil
			}
		}
		if offset += int64(n); err != nil && offset < t.size {
			return false, err
		}
	}
	return true, nil
}

// fault is a damaged record, or a part of the file that is not a record.
type fault struct {
	key   string
	value []byte // as it was read
	where string // instead of a key
	why   error
}

func (x *fault) String() string {
	if x.where != "" {
		return x.where
	}
	return fmt.Sprintf("record %q", x.key)
}

// reportFaults reports faults to the log and to Skipped.
func (s *Store) reportFaults(faults []fault) {
	for i := range faults {
		s.skip(faults[i].String(), &store.CorruptError{Where: faults[i].String(), Why: faults[i].why.Error()})
	}
}

// asideLine is a line of the file of records that were set aside.
type asideLine struct {
	Time  time.Time `json:"time"`
	What  string    `json:"what"`
	Why   string    `json:"why"`
	Key   []byte    `json:"key,omitempty"` // in base64, like the value
	Value []byte    `json:"value,omitempty"`
}

// writeAside appends faults to the file of records that were set aside.
func (s *Store) writeAside(faults []fault) error {
	if len(faults) == 0 {
		return nil
	}
	f, err := os.OpenFile(s.path+".corrupt", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	out := json.NewEncoder(f)
	now := time.Now()
	for i := range faults {
		x := &faults[i]
		err = errors.Join(err, out.Encode(asideLine{Time: now, What: x.String(), Why: x.why.Error(), Key: []byte(x.key), Value: x.value}))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// setAside reports records and removes them from the database. If that fails,
// the next reading finds them again; for this one it is not an error.
func (s *Store) setAside(ctx context.Context, faults []fault) {
	if len(faults) == 0 {
		return
	}
	s.reportFaults(faults)
	err := s.writeAside(faults)
	if err == nil {
		err = s.write(ctx, "set aside in", func(n *net) error {
			for i := range faults {
				n.set(faults[i].key, nil, faults[i].value)
			}
			return nil
		})
	}
	if err != nil {
		s.cfg.Logger.Error("damaged records stay in the queue", "store", "tokyocabinet:"+s.cfg.File, "err", err)
	}
}

// Check implements store.Checker. Without the lock, it reads the file as it is;
// if a server has it open, the file may be half written.
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hash != nil {
		return s.checkOpen(report)
	}
	t, err := openTable(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return ctx.Err()
	}
	if err != nil {
		return s.fail("check", err)
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
	size, err := fileSize(s.path + walSuffix)
	if err != nil {
		return s.fail("check", err)
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
	if err := s.hash.sync(); err != nil {
		return s.fail("check", err)
	}
	t, err := readTable(s.hash.handle())
	if err != nil {
		return s.fail("check", err)
	}
	if t.damage == nil {
		t.size = t.stated // the file may be larger than the database
	}
	if err := t.verify(func(*record, *entry) {}); err != nil {
		report(err.Error())
	}
	return nil
}

// kindOf names a kind of database.
func kindOf(isTree bool) string {
	if isTree {
		return "a B+ tree database"
	}
	return "a hash database"
}
