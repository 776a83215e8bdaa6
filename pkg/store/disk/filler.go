package disk

import (
	"errors"
	"os"

	bolt "go.etcd.io/bbolt"
)

const (
	// fillBatch is about how many bytes go into one transaction of a filler.
	fillBatch = 4 << 20
	// fillSync is after how many of them the disk is asked to write them, so
	// that others who use it need not wait long.
	fillSync = 2
)

// filler makes a new file. Nothing of it is durable before sync.
type filler struct {
	*engine
	tx      *bolt.Tx // nil between batches
	writer  writer   // of tx
	commits int
}

// newFiller makes the file at path, in place of what is there.
func newFiller(files *fsys, path string, c sealing) (*filler, error) {
	if _, err := files.remove(path); err != nil {
		return nil, err
	}
	if err := writeEmpty(files, path, c); err != nil {
		_, _ = files.remove(path)
		return nil, err
	}
	e, err := openBolt(files, path, true)
	if err != nil {
		return nil, err
	}
	e.sealing = c
	return &filler{engine: e}, nil
}

// writeEmpty writes the pages of a new file, as bbolt would, with the code of a
// sealing in the first two.
func writeEmpty(files *fsys, path string, c sealing) error {
	f, err := files.open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	m := meta{pageSize: int64(os.Getpagesize()), sealing: c.code(), freelist: 2, root: 3, high: 4}
	b := appendMeta(m)
	m.tx = 1
	b = append(append(b, appendMeta(m)...), make([]byte, 2*m.pageSize)...)
	for id, flags := range map[uint64]uint16{m.freelist: flagFreelist, m.root: flagLeaf} {
		page := b[int64(id)*m.pageSize:]
		order.PutUint64(page, id)
		order.PutUint16(page[8:], flags)
	}
	return errors.Join(files.writeAt(f, b, 0), files.sync(f), f.Close())
}

// begin sees to it that there is a transaction.
func (f *filler) begin() error {
	if len(f.writer.arena) >= fillBatch || f.touched >= dropEvery {
		if err := f.commit(); err != nil {
			return err
		}
	}
	if f.tx == nil {
		tx, err := f.db.Begin(true)
		if err != nil {
			return err
		}
		f.tx, f.writer = tx, writer{sealing: f.sealing, arena: make(arena, 0, fillBatch)}
		f.writer.begin(tx)
	}
	return nil
}

// bucket returns a bucket of the current transaction.
func (f *filler) bucket(name []byte) (*bolt.Bucket, error) {
	if err := f.begin(); err != nil {
		return nil, err
	}
	return f.tx.Bucket(name), nil // which bbolt keeps by its name
}

// put puts an entry into a bucket as it is.
func (f *filler) put(name, key, value []byte) error {
	b, err := f.bucket(name)
	if err != nil {
		return err
	}
	return b.Put(key, f.writer.keep(value))
}

func (f *filler) delete(name, key []byte) error {
	b, err := f.bucket(name)
	if err != nil {
		return err
	}
	f.touched += f.pageSize // at most: keys come in order
	return b.Delete(key)
}

// get returns what is under key, or nil. It is valid until the next call.
func (f *filler) get(name, key []byte) ([]byte, error) {
	b, err := f.bucket(name)
	if err != nil {
		return nil, err
	}
	return b.Get(key), nil
}

// record returns the record of a job, or nil. It is valid until the next call.
func (f *filler) record(seq uint64) ([]byte, error) {
	if err := f.begin(); err != nil {
		return nil, err
	}
	return f.writer.get(seq)
}

// putRecord has a job have that record.
func (f *filler) putRecord(seq uint64, record []byte) error {
	if err := f.begin(); err != nil {
		return err
	}
	return f.writer.put(seq, f.writer.keep(record))
}

// raise sees that the highest number of a job that was ever added is kept.
func (f *filler) raise(seq uint64) error {
	if err := f.begin(); err != nil {
		return err
	}
	f.writer.highest = max(f.writer.highest, seq)
	return nil
}

func (f *filler) commit() error {
	if f.tx == nil {
		return nil
	}
	tx := f.tx
	f.tx = nil
	if err := f.writer.finish(); err != nil {
		_ = tx.Rollback()
		return err
	}
	f.writer = writer{}
	if err := tx.Commit(); err != nil {
		return err
	}
	f.drop()
	if f.commits++; f.commits%fillSync == 0 {
		return f.files.sync(f.file)
	}
	return nil
}

// sync brings all of it to the disk.
func (f *filler) sync() error {
	if err := f.commit(); err != nil {
		return err
	}
	return f.files.sync(f.file)
}

// discard closes the file and removes it.
func (f *filler) discard() {
	if f.tx != nil {
		_ = f.tx.Rollback()
	}
	_ = f.close()
	_, _ = f.files.remove(f.path)
}
