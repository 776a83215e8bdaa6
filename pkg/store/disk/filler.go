package disk

import (
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
func newFiller(files *fsys, path string) (*filler, error) {
	if _, err := files.remove(path); err != nil {
		return nil, err
	}
	e, err := openBolt(files, path, true)
	if err != nil {
		return nil, err
	}
	return &filler{engine: e}, nil
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
		f.tx, f.writer = tx, writer{arena: make(arena, 0, fillBatch)}
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
