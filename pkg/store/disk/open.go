package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"gm/internal/codec"
	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
)

// openFile opens the queue's file and trusts nothing in it: bbolt gets a file
// only after every page of its trees has been verified. That does not read the
// payloads, except those that share a page with their record. A broken file is
// replaced by a new one with everything that can be read. mu is held.
func (s *Store) openFile() (*engine, error) {
	if err := s.clearLeftovers(); err != nil {
		return nil, err
	}
	if err := s.makeFile(); err != nil {
		return nil, err
	}
	f, err := s.files.Open(s.file(), os.O_RDWR)
	if err != nil {
		return nil, err
	}
	err = s.prepareFile(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	if err := s.files.SyncDir(s.cfg.Dir); err != nil {
		return nil, err
	}
	e, err := openEngine(&s.files, s.file(), boltfile.Options{NoSync: s.cfg.Sync == store.SyncNever, Reserve: s.reserveBlocks})
	if err != nil {
		return nil, err
	}
	if err := e.loadSealing(s.renewBelow); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if s.wal != nil && e.sealing.salt != s.sealing.salt { // the log is of another file
		return nil, errors.Join(errors.New("the file was replaced: restart the server"), e.Close())
	}
	return e, nil
}

// makeFile makes the queue's file if there is none. The file has its name only
// when it is whole.
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
	out, err := s.newFiller("new", c)
	if err != nil {
		return err
	}
	if err := out.syncAll(); err != nil {
		out.discard()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return s.files.Rename(out.path, s.file())
}

// temporary returns the name of a file that is not the queue's yet, or no longer
// is.
func (s *Store) temporary(purpose string) string { return s.file() + "." + purpose }

// reserveBlocks is the Reserve of the store's files.
func (s *Store) reserveBlocks(f *os.File, from, size int64) error { return s.reserve(f, from, size) }

// prepareFile verifies f and makes it ready for bbolt, or replaces it with
// another file.
func (s *Store) prepareFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	m, used, broken := verifyJobs(f)
	if broken == nil {
		return s.admit(f, m, used)
	}
	if boltfile.IsReadError(broken) {
		return broken // the file may be whole: it stays as it is
	}
	return s.salvage(f, m, broken)
}

// verifyJobs reads all pages of a file of jobs, and returns its meta and the
// pages that are in use. The meta is valid as far as boltfile.ReadMeta says.
func verifyJobs(f io.ReaderAt) (m boltfile.Meta, used *boltfile.PageSet, err error) {
	m, err = boltfile.ReadMeta(f)
	if err == nil {
		used, err = boltfile.Verify(f, m, bucketNames, checkShapes)
	}
	return m, used, err
}

// checkShapes returns an error if an entry of a leaf does not have the form of
// its bucket.
func checkShapes(at boltfile.Place, p *boltfile.Page) error {
	for i := range p.Len() {
		size, plain := p.Shape(i)
		fits := true
		switch at.Bucket {
		case jobsBucket:
			fits = size == 8 || size == packKeySize
		case bodiesBucket:
			fits = size == pieceKeySize
		}
		if !plain || !fits {
			return boltfile.Corrupt(at.Page, fmt.Errorf("element %d does not have the form of %s", i, at.Bucket))
		}
	}
	return nil
}

// admit makes f, which has been verified, ready for bbolt.
func (s *Store) admit(f *os.File, m boltfile.Meta, used *boltfile.PageSet) error {
	if m.WasDamaged {
		s.base.Skip("a byte of one of the first pages, which has been put right", &store.CorruptError{Where: s.file(), Why: codec.ErrChecksum.Error()})
	}
	if m.Tag == 0 && s.wal == nil { // a file of the first form
		c, err := newSealing()
		if err != nil {
			return err
		}
		m.Tag = c.withOld().code()
	}
	if !readSealing(boltfile.NewTree(f, m), m).old() {
		m.Tag &^= 1 // no entry is without the salt any more
	}
	return boltfile.Prepare(&s.files, f, m, used)
}
