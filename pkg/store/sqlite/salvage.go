package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ncruces/go-sqlite3"

	"gm/pkg/store"
	"gm/pkg/store/lockfile"
)

// openFile opens the database. What is broken of it is left behind. mu is held.
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
		if err != nil && errors.Is(outOfRoom(err, s.path), store.ErrFull) {
			w, err = s.openCramped(err)
		}
		if err == nil || !broken(err) && !strange(err) {
			return w, err
		}
		if err := s.salvage(err.Error(), broken(err)); err != nil {
			return nil, err
		}
	} else if err := s.salvage(damage, true); err != nil {
		return nil, err
	}
	return newWriter(s.path, s.cfg.Table, s.cfg.Sync)
}

// rebuild closes the database and makes a new one of it. It is opened when it
// is used. mu is held.
func (s *Store) rebuild(why error) error {
	s.ready.Store(false)
	s.watch.Clear()
	_ = s.readers.pause()
	defer s.readers.resume()
	// What is in FILE-wal stays there.
	_, err := s.writer.Config(sqlite3.DBCONFIG_NO_CKPT_ON_CLOSE, true)
	_ = s.writer.conn.close()
	s.writer = nil
	if err != nil {
		return err
	}
	return s.salvage(why.Error(), true)
}

// salvage makes a new database of what can be read of the old one, which it
// keeps beside it. The new one has only gm's tables. Without certain, why may
// be no damage at all, unless there are jobs of gm's; so it is with a file that
// does not begin as a database.
func (s *Store) salvage(why string, certain bool) error {
	s.cfg.Logger.Warn("the database is damaged: making a new one of what can be read", "store", "sqlite:"+s.cfg.File, "err", why)
	m, err := openImage(s.path)
	if err != nil {
		return err
	}
	defer m.close()
	making := s.path + salvaging
	removeDatabase(making)
	w, err := newWriter(making, s.cfg.Table, SyncNever)
	if err != nil {
		return err
	}
	c := salvager{
		Store: s, writer: w,
		ids:   make(map[int64]bool),
		trees: trees{image: m, seen: make(map[uint32]bool)},
	}
	err = errors.Join(outOfRoom(protect(c.run), making), w.close())
	if err == nil && c.ours == 0 && !(certain && m.isSQLite) {
		removeDatabase(making)
		return errors.New(why)
	}
	if err == nil {
		err = syncFile(making)
	}
	if err != nil {
		removeDatabase(making)
		return fmt.Errorf("%s; salvage: %w", why, err)
	}
	s.skip("database", fmt.Errorf("%s; kept of it: %d jobs and extras", why, c.kept))
	c.tell()
	if err := lockfile.KeepMode(making, s.path); err != nil {
		return err
	}
	if err := errors.Join(os.Rename(making, s.path+salvaged), lockfile.SyncDir(filepath.Dir(s.path))); err != nil {
		return err
	}
	return s.finishSwap()
}

// salvaging is what a new database is called while it is made.
const salvaging = ".salvaging"

// salvaged is what a new database is called from when it is whole until it is
// in the place of the old one.
const salvaged = ".salvaged"

// finishSwap puts a salvaged database into the place of the broken one. A
// crash in between is made up for by the next open.
func (s *Store) finishSwap() error {
	if _, err := os.Stat(s.path + salvaged); err != nil {
		return nil
	}
	name := s.path + ".broken-" + time.Now().UTC().Format("20060102T150405.000000")
	for _, suffix := range []string{"-wal", "-journal", ""} {
		if err := os.Rename(s.path+suffix, name+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	_ = os.Remove(s.path + "-shm")
	if err := os.Rename(s.path+salvaged, s.path); err != nil {
		return err
	}
	s.cfg.Logger.Warn("the damaged database is kept", "store", "sqlite:"+s.cfg.File, "as", name)
	return lockfile.SyncDir(filepath.Dir(s.path))
}

func removeDatabase(path string) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(path + suffix)
	}
}

// errLost is why a job is set aside of which there is only the key.
var errLost = errors.New("the index has it, the table has not")

// salvager writes into a new database what it reads of an image.
type salvager struct {
	*Store
	trees
	writer *writer

	ids    map[int64]bool // of rows that are kept
	kept   int
	ours   int // of these, those with a checksum
	errs   []pageError
	more   int // errors that were not taken down
	faults []fault
	broken int // jobs that were read and can't be believed
	size   int // of what the transaction has
	err    error
}

type pageError struct {
	page uint32
	err  error
}

// Limits of what is told one by one.
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
	c.all()
	if c.err != nil {
		return c.err
	}
	return c.writer.commit.Exec()
}

// all reads the trees that the schema names, and what is then left over.
func (c *salvager) all() {
	roots := c.schema()
	jobs, extras := c.cfg.Table, extrasTable(c.cfg.Table)
	tables := 0
	for _, x := range roots {
		switch {
		case x.kind == "table" && x.name == jobs:
			c.walk(x.root, c.job)
			tables++
		case x.kind == "table" && x.name == extras:
			c.walk(x.root, c.extra)
			tables++
		}
	}
	lost := len(c.errs) > 0 || tables < 2
	for _, x := range roots {
		switch {
		case x.kind == "index" && x.table == jobs:
			c.walk(x.root, c.indexed)
		case x.kind == "index" && x.table == extras:
			c.walk(x.root, func(int64, []byte) {})
		case x.table != jobs && x.table != extras:
			c.walk(x.root, func(int64, []byte) {})
			if x.kind == "table" {
				c.errs = append(c.errs, pageError{x.root, fmt.Errorf("table %s is not gm's and not in the new database", x.name)})
			}
		}
	}
	c.free()
	if lost {
		c.orphans(c.orphan)
	}
}

// root is an entry of the schema.
type root struct {
	kind, name, table string
	root              uint32
}

func (c *salvager) schema() (roots []root) {
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

// job takes an entry of the jobs' table.
func (c *salvager) job(id int64, record []byte) {
	values, ok := parseRecord(record)
	var r *row
	if ok {
		r, ok = rowOf(id, values)
	}
	if !ok {
		c.fault(fault{id: id, gone: true, data: record, why: errors.New("not a row of the table")})
		return
	}
	if err := r.verify(); err != nil {
		c.fault(faultOf(r, err))
		return
	}
	c.keep(r)
}

// fault takes down what can't be believed, which is not kept.
func (c *salvager) fault(x fault) {
	c.broken++
	c.ids[x.id] = true // it is told of
	if len(c.faults) < maxFaults {
		c.faults = append(c.faults, x)
	}
}

// keep writes a row into the new database, if there is none like it.
func (c *salvager) keep(r *row) {
	if !r.foreign {
		r.id = r.seq // what the tree says of it may be wrong
	}
	if c.err != nil || c.ids[r.id] {
		return
	}
	err := c.writer.insertRow(r)
	if errors.Is(err, sqlite3.CONSTRAINT) {
		return // an older one with the same key
	}
	c.ids[r.id] = true
	if !r.foreign {
		c.ours++
	}
	c.added(len(r.data), err)
}

// added ends a transaction that is large enough.
func (c *salvager) added(size int, err error) {
	c.kept++
	if c.size += size + 100; err == nil && c.size > chunkBytes {
		c.size = 0
		err = errors.Join(c.writer.commit.Exec(), c.writer.committed(), c.writer.begin.Exec())
	}
	c.err = err
}

// extra takes an entry of the extras' table.
func (c *salvager) extra(id int64, record []byte) {
	if key, value, ok := extraOf(record); ok {
		c.keepExtra(key, value)
		return
	}
	c.fault(fault{extra: true, gone: true, id: -1, data: record, why: errSum})
}

func (c *salvager) keepExtra(key string, value []byte) {
	if c.err == nil {
		c.ours++
		c.added(len(value), c.writer.putExtra(key, value))
	}
}

// extraOf returns the extra that a record is, if its checksum is right.
func extraOf(record []byte) (key string, value []byte, ok bool) {
	v, ok := parseRecord(record)
	if !ok || len(v) != 3 || v[0].kind != text || v[1].kind != blob || v[2].kind != integer {
		return "", nil, false
	}
	return string(v[0].b), v[1].b, extraSum(string(v[0].b), v[1].b) == v[2].n
}

// orphan takes an entry of a table, of which it is not known. Its checksum
// tells; what has none has to come from gearmand, and to look like it.
func (c *salvager) orphan(id int64, record []byte) {
	if key, value, ok := extraOf(record); ok {
		c.keepExtra(key, value)
		return
	}
	values, ok := parseRecord(record)
	if !ok {
		return
	}
	if r, ok := rowOf(id, values); ok && r.verify() == nil {
		c.keep(r)
	}
}

// indexed takes an entry of an index of the jobs' table.
func (c *salvager) indexed(_ int64, record []byte) {
	v, ok := parseRecord(record)
	if !ok || len(v) != 3 || v[0].kind != text || v[1].kind != text || v[2].kind != integer || c.ids[v[2].n] || len(c.faults) >= maxFaults {
		return
	}
	c.faults = append(c.faults, fault{
		id: v[2].n, gone: true, why: errLost,
		unique: string(bytes.Clone(v[0].b)), name: string(bytes.Clone(v[1].b)),
	})
}

// tell reports what was not kept. What an orphan made good is not told.
func (c *salvager) tell() {
	for _, x := range c.errs {
		c.skip(fmt.Sprintf("page %d", x.page), &store.CorruptError{Where: fmt.Sprintf("page %d", x.page), Why: x.err.Error()})
	}
	if c.more > 0 {
		c.skip("pages", fmt.Errorf("%d more can't be read", c.more))
	}
	var faults []fault
	for _, x := range c.faults {
		if x.why != errLost || !c.ids[x.id] {
			faults = append(faults, x)
		}
	}
	c.report(faults)
	if err := c.writeAside(faults); err != nil {
		c.cfg.Logger.Error("what is set aside is only in the database that is kept", "store", "sqlite:"+c.cfg.File, "err", err)
	}
}
