package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"

	"gm/internal/codec"
	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// openFile opens the database. It replaces a broken one with its readable part.
// mu is held.
func (s *Store) openFile() (*writer, error) {
	if err := s.finishSwap(); err != nil {
		return nil, err
	}
	if err := s.clearLeftovers(); err != nil {
		return nil, err
	}
	if err := s.salvageWithoutFile(); err != nil {
		return nil, err
	}
	damage, err := walDamage(s.path)
	if err != nil {
		return nil, err
	}
	if damage == "" {
		w, err := newWriter(s.path, s.cfg.Table, s.cfg.Sync)
		if err != nil && errors.Is(markFull(err, s.path), store.ErrFull) {
			w, err = s.openCramped(err)
		}
		if err == nil || !isBroken(err) && !isStrange(err) {
			return w, err
		}
		if err := s.salvage(err.Error(), isBroken(err)); err != nil {
			return nil, err
		}
	} else if err := s.salvage(damage, true); err != nil {
		return nil, err
	}
	return newWriter(s.path, s.cfg.Table, s.cfg.Sync)
}

// rebuild closes the database and makes a new one from its readable part. The next use
// opens it. mu is held.
func (s *Store) rebuild(why error) error {
	s.ready.Store(false)
	s.base.Watch.Clear()
	_ = s.readers.pause()
	defer s.readers.resume()
	// The content of FILE-wal stays there.
	_, err := s.writer.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true)
	_ = s.writer.conn.close()
	s.writer = nil
	if err != nil {
		return err
	}
	return s.salvage(why.Error(), true)
}

// salvage makes a new database from the readable part of the old one, which is kept
// under another name. The new one has only gm's tables. The file may belong to another
// program if certain is not set or if it does not begin like a database: then salvage
// replaces it only if it has jobs of gm.
func (s *Store) salvage(why string, certain bool) error {
	s.base.Log.Warn("the database is damaged: its readable part goes into a new one", "err", why)
	m, err := openImage(s.path)
	if err != nil {
		return err
	}
	defer m.closeFiles()
	making := s.path + salvaging
	removeDatabase(making)
	w, err := newWriter(making, s.cfg.Table, store.SyncNever)
	if err != nil {
		return err
	}
	c := salvager{
		Store: s, writer: w,
		ids:   make(map[int64]bool),
		trees: trees{image: m, seen: make(map[uint32]bool)},
	}
	err = errors.Join(markFull(protect(c.run), making), w.closeDatabase())
	if err == nil && c.ours == 0 && !(certain && m.isSQLite) {
		removeDatabase(making)
		return errors.New(why)
	}
	if err == nil {
		err = filestore.SyncFile(making)
	}
	if err != nil {
		removeDatabase(making)
		return fmt.Errorf("%s; salvage: %w", why, err)
	}
	s.base.Skip("database", fmt.Errorf("%s; kept of it: %d jobs and extras", why, c.kept))
	c.reportLost()
	if err := filestore.KeepMode(making, s.path); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(making, s.path+salvaged), filestore.SyncDir(filepath.Dir(s.path))); err != nil {
		return err
	}
	return s.finishSwap()
}

// salvaging is the suffix of a new database while it is made.
const salvaging = ".salvaging"

// salvaged is the suffix of a new database that is whole, until it replaces the
// old one.
const salvaged = ".salvaged"

// finishSwap replaces the broken database with the salvaged one. If a crash interrupts
// it, the next open continues.
func (s *Store) finishSwap() error {
	if _, err := os.Stat(s.path + salvaged); err != nil {
		return nil
	}
	name := filestore.BrokenName(s.path)
	for _, suffix := range []string{"-wal", "-journal", ""} {
		if err := os.Rename(s.path+suffix, name+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(s.path + "-shm")
	if err := os.Rename(s.path+salvaged, s.path); err != nil {
		return err
	}
	s.base.Log.Warn("the damaged database is kept", "as", name)
	return filestore.SyncDir(filepath.Dir(s.path))
}

func removeDatabase(path string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(path + suffix)
	}
}

// errLost is the fault of a job that only the index has.
var errLost = errors.New("it is in the index, but not in the table")

// salvager copies the readable part of an image into a new database.
type salvager struct {
	*Store
	trees
	writer *writer

	ids    map[int64]bool // of rows that are kept
	kept   int
	ours   int // number of these that have a checksum
	errs   []pageError
	more   int // number of further errors
	faults []fault
	broken int // number of damaged jobs
	size   int // bytes in the transaction
	err    error
}

type pageError struct {
	page uint32
	err  error
}

// The maximum numbers of pages and faults that are reported one by one.
const (
	maxPageErrors = 100
	maxFaults     = 10_000
)

func (c *salvager) run() error {
	c.trees.damage = func(page uint32, err error) {
		if len(c.errs) < maxPageErrors {
			c.errs = append(c.errs, pageError{page, err})
		} else {
			c.more++
		}
	}
	if err := c.writer.begin.Exec(); err != nil {
		return err
	}
	c.copyAll()
	if c.err != nil {
		return c.err
	}
	return c.writer.commit.Exec()
}

// copyAll copies the trees that the schema names, and then the pages outside of them.
func (c *salvager) copyAll() {
	roots := c.readSchema()
	jobs, extras := c.cfg.Table, extrasTable(c.cfg.Table)
	tables := 0
	for _, x := range roots {
		switch {
		case x.kind == "table" && x.name == jobs:
			c.walk(x.root, c.copyJob)
			tables++
		case x.kind == "table" && x.name == extras:
			c.walk(x.root, c.copyExtra)
			tables++
		}
	}
	lost := len(c.errs) > 0 || tables < 2
	for _, x := range roots {
		switch {
		case x.kind == "index" && x.table == jobs:
			c.walk(x.root, c.noteIndexed)
		case x.kind == "index" && x.table == extras:
			c.walk(x.root, func(int64, []byte) {})
		case x.table != jobs && x.table != extras:
			c.walk(x.root, func(int64, []byte) {})
			if x.kind == "table" {
				c.errs = append(c.errs, pageError{x.root, fmt.Errorf("table %s is not gm's and not in the new database", x.name)})
			}
		}
	}
	c.markFree()
	if lost {
		c.eachOrphan(c.copyOrphan)
	}
}

// root is an entry of the schema.
type root struct {
	kind, name, table string
	root              uint32
}

// readSchema returns the trees that the schema names.
func (c *salvager) readSchema() (roots []root) {
	c.walk(1, func(_ int64, record []byte) {
		v, ok := parseRecord(record)
		if !ok || len(v) < 5 || v[0].kind != text || v[3].kind != integer {
			c.damage(1, errors.New("schema: an entry can't be read"))
			return
		}
		if v[3].n > 1 {
			roots = append(roots, root{string(v[0].b), string(v[1].b), string(v[2].b), uint32(v[3].n)})
		}
	})
	return roots
}

// copyJob copies an entry of the jobs' table.
func (c *salvager) copyJob(id int64, record []byte) {
	values, ok := parseRecord(record)
	var r *row
	if ok {
		r, ok = rowOf(id, values)
	}
	if !ok {
		c.noteFault(fault{id: id, noRow: true, data: record, why: errors.New("not a row of the table")})
		return
	}
	if err := r.verify(); err != nil {
		c.noteFault(faultOf(r, err))
		return
	}
	c.keepRow(r)
}

// noteFault records a damaged entry, which is not copied.
func (c *salvager) noteFault(x fault) {
	c.broken++
	c.ids[x.id] = true // noteIndexed must not report it too
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, x)
	}
}

// keepRow writes a row into the new database, unless it has that row.
func (c *salvager) keepRow(r *row) {
	if !r.foreign {
		r.id = r.seq // the number in the tree may be wrong
	}
	if c.err != nil || c.ids[r.id] {
		return
	}
	err := c.writer.insertRow(r)
	if errors.Is(err, sqlite3.CONSTRAINT) {
		return // it is older than the row with the same key
	}
	c.ids[r.id] = true
	if !r.foreign {
		c.ours++
	}
	c.countKept(len(r.data), err)
}

// countKept counts a row or an extra after its write, which ended with err. It commits a
// transaction that is large enough.
func (c *salvager) countKept(size int, err error) {
	c.kept++
	if c.size += size + 100; err == nil && c.size > chunkBytes {
		c.size = 0
		err = errors.Join(c.writer.commit.Exec(), c.writer.afterCommit(), c.writer.begin.Exec())
	}
	c.err = err
}

// copyExtra copies an entry of the extras' table.
func (c *salvager) copyExtra(id int64, record []byte) {
	if key, value, ok := extraOf(record); ok {
		c.keepExtra(key, value)
		return
	}
	c.noteFault(fault{extra: true, noRow: true, id: -1, data: record, why: codec.ErrChecksum})
}

func (c *salvager) keepExtra(key string, value []byte) {
	if c.err == nil {
		c.ours++
		c.countKept(len(value), c.writer.putExtra(key, value))
	}
}

// extraOf returns the extra of a record. It reports whether the checksum
// matches.
func extraOf(record []byte) (key string, value []byte, ok bool) {
	v, ok := parseRecord(record)
	if !ok || len(v) != 3 || v[0].kind != text || v[1].kind != blob || v[2].kind != integer {
		return "", nil, false
	}
	return string(v[0].b), v[1].b, extraSum(string(v[0].b), v[1].b) == v[2].n
}

// copyOrphan copies an entry of an unknown table. A matching checksum shows that it is
// one of gm; an entry without a checksum must have the form of gearmand's.
func (c *salvager) copyOrphan(id int64, record []byte) {
	if key, value, ok := extraOf(record); ok {
		c.keepExtra(key, value)
		return
	}
	values, ok := parseRecord(record)
	if !ok {
		return
	}
	if r, ok := rowOf(id, values); ok && r.verify() == nil {
		c.keepRow(r)
	}
}

// noteIndexed records a fault if the index has a job that the table does not have.
func (c *salvager) noteIndexed(_ int64, record []byte) {
	v, ok := parseRecord(record)
	if !ok || len(v) != 3 || v[0].kind != text || v[1].kind != text || v[2].kind != integer || c.ids[v[2].n] || len(c.faults) >= maxFaults {
		return
	}
	c.faults = append(c.faults, fault{
		id: v[2].n, noRow: true, why: errLost,
		unique: string(bytes.Clone(v[0].b)), name: string(bytes.Clone(v[1].b)),
	})
}

// reportLost reports the pages and entries that were not copied, except jobs
// that an orphan replaced.
func (c *salvager) reportLost() {
	for _, x := range c.errs {
		c.base.Skip(fmt.Sprintf("page %d", x.page), &store.CorruptError{Where: fmt.Sprintf("page %d", x.page), Why: x.err.Error()})
	}
	if c.more > 0 {
		c.base.Skip("pages", fmt.Errorf("%d more can't be read", c.more))
	}
	var faults []fault
	for _, x := range c.faults {
		if x.why != errLost || !c.ids[x.id] {
			faults = append(faults, x)
		}
	}
	c.reportFaults(faults)
	if err := c.writeAside(faults); err != nil {
		c.base.Log.Error("damaged rows are only in the database that is kept", "err", err)
	}
}
