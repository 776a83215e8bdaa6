package disk

import (
	"errors"
	"fmt"
	"os"

	"gm/pkg/store"
)

// openFile opens the queue's file, of which it trusts nothing: bbolt gets a
// file only after every page of its trees has been found to be as bbolt writes
// it. The payloads are not read for that, except where they share a page with
// their record. A file that is broken is replaced by what can be read of it.
// mu is held.
func (s *Store) openFile() (*engine, error) {
	if err := s.clearLeftovers(); err != nil {
		return nil, err
	}
	if err := s.makeFile(); err != nil {
		return nil, err
	}
	f, err := s.files.open(s.file(), os.O_RDWR)
	if err != nil {
		return nil, err
	}
	err = s.prepare(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	if err := s.files.syncDir(s.cfg.Dir); err != nil {
		return nil, err
	}
	e, err := openBolt(&s.files, s.file(), s.cfg.Sync == SyncNever)
	if err != nil {
		return nil, err
	}
	if err := e.readSealing(s.renewBelow); err != nil {
		return nil, errors.Join(err, e.close())
	}
	if s.wal != nil && e.sealing.salt != s.sealing.salt { // the log is of another file
		return nil, errors.Join(errors.New("the file was replaced: restart the server"), e.close())
	}
	return e, nil
}

// makeFile makes the queue's file, whole from the start, if there is none.
func (s *Store) makeFile() error {
	missing, err := isMissing(s.file())
	if err != nil || !missing {
		return err
	}
	c := sealing{salt: s.sealing.salt}
	if s.wal == nil {
		if c, err = newSealing(); err != nil {
			return err
		}
	}
	out, err := newFiller(&s.files, s.temporary("new"), c)
	if err != nil {
		return err
	}
	if err := out.sync(); err != nil {
		out.discard()
		return err
	}
	if err := out.close(); err != nil {
		return err
	}
	return s.files.rename(out.path, s.file())
}

// temporary returns the name of a file that is not the queue's yet, or not any
// more.
func (s *Store) temporary(what string) string { return s.file() + "." + what }

// prepare verifies f and writes its list of free pages, or puts another file
// in its place.
func (s *Store) prepare(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	m, broken := readMeta(f)
	if broken == nil {
		var used *bitmap
		if used, broken = verify(f, m); broken == nil {
			return s.admit(f, m, used, info.Size())
		}
	}
	if isReadError(broken) {
		return broken // the file may be whole: it stays as it is
	}
	return s.salvage(f, m, broken)
}

// verify goes through all pages that the tree of m has, and returns which they
// are.
func verify(f *os.File, m meta) (*bitmap, error) {
	used := newBitmap(m.high)
	buckets := 0
	w := walk{
		tree: &tree{file: f, pageSize: m.pageSize, high: m.high},
		seen: used,
		bucket: func(name string, _ *bucket) {
			if name == jobsBucket || name == bodiesBucket || name == extrasBucket {
				buckets++
			}
		},
		leaf: checkShapes,
	}
	if err := w.run(m.root); err != nil {
		return nil, err
	}
	if buckets != 3 && buckets+int(m.tx) > 1 { // but for a file that is just made
		return nil, fmt.Errorf("%d of its 3 buckets are there", buckets)
	}
	return used, nil
}

// checkShapes sees that the entries of a leaf are such as its bucket has.
func checkShapes(at place, p *page) error {
	for i := range p.count {
		e, _ := p.element(i)
		fits := true
		switch at.bucket {
		case jobsBucket:
			fits = e.ksize == 8 || e.ksize == packKeySize
		case bodiesBucket:
			fits = e.ksize == 12
		}
		if e.flags != 0 || !fits {
			return corrupt(at.page, fmt.Errorf("element %d is none of %s", i, at.bucket))
		}
	}
	return nil
}

// admit makes f, which has been verified, ready for bbolt.
func (s *Store) admit(f *os.File, m meta, used *bitmap, size int64) error {
	if m.wasDamaged {
		s.skip("a byte of one of the first pages, which has been put right", &store.CorruptError{Where: s.file(), Why: "checksum did not match"})
	}
	if size < int64(m.high)*m.pageSize { // none of what is missing is in use
		if err := s.files.truncate(f, int64(m.high)*m.pageSize); err != nil {
			return err
		}
	}
	if m.sealing == 0 && s.wal == nil { // a file of the first form
		c, err := newSealing()
		if err != nil {
			return err
		}
		m.sealing = c.withOld().code()
	}
	if t := (&tree{file: f, pageSize: m.pageSize, high: m.high}); !t.readSealing(m).old() {
		m.sealing &^= 1 // no entry is without the salt any more
	}
	_, err := writeFreelist(&s.files, f, m, used)
	if full(err) && !m.wasDamaged {
		return nil // bbolt finds the free pages by itself
	}
	return err
}
