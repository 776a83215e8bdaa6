package disk

import (
	bolt "go.etcd.io/bbolt"

	"gm/pkg/store/disk/boltfile"
)

const (
	// fillBatch is about the number of bytes in one transaction of a filler.
	fillBatch = 4 << 20
	// fillSync is the number of transactions between two syncs. Without syncs,
	// the last one would keep the disk from others for long.
	fillSync = 2
)

// filler makes a new file. Nothing of it is durable before syncAll.
type filler struct {
	*engine
	path    string
	store   *Store
	tx      *bolt.Tx // nil between batches
	writer  writer   // of tx
	commits int
}

// newFiller makes the temporary file for a purpose. It replaces an existing one.
func (s *Store) newFiller(purpose string, c sealing) (*filler, error) {
	path := s.temporary(purpose)
	if _, err := s.files.Remove(path); err != nil {
		return nil, err
	}
	if err := boltfile.Create(&s.files, path, c.code()); err != nil {
		_, _ = s.files.Remove(path)
		return nil, err
	}
	e, err := openEngine(&s.files, path, boltfile.Options{NoSync: true, Reserve: s.reserveBlocks})
	if err != nil {
		return nil, err
	}
	e.sealing = c
	return &filler{engine: e, path: path, store: s}, nil
}

// ensureTx begins a transaction if there is none.
func (f *filler) ensureTx() error {
	if len(f.writer.arena) >= fillBatch || f.Touch(0) {
		if err := f.commitTx(); err != nil {
			return err
		}
	}
	if f.tx == nil {
		tx, err := f.Begin()
		if err != nil {
			return err
		}
		f.tx, f.writer = tx, writer{sealing: f.sealing, arena: make(arena, 0, fillBatch)}
		f.writer.start(tx)
	}
	return nil
}

// bucket returns a bucket of the current transaction.
func (f *filler) bucket(name []byte) (*bolt.Bucket, error) {
	if err := f.ensureTx(); err != nil {
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
	f.Touch(f.PageSize()) // at most: keys come in order
	return b.Delete(key)
}

// get returns the value under key, or nil. It is valid until the next call.
func (f *filler) get(name, key []byte) ([]byte, error) {
	b, err := f.bucket(name)
	if err != nil {
		return nil, err
	}
	return b.Get(key), nil
}

// record returns the record of a job, or nil. It is valid until the next call.
func (f *filler) record(seq uint64) ([]byte, error) {
	if err := f.ensureTx(); err != nil {
		return nil, err
	}
	return f.writer.get(seq)
}

// putRecord sets the record of a job.
func (f *filler) putRecord(seq uint64, record []byte) error {
	if err := f.ensureTx(); err != nil {
		return err
	}
	return f.writer.put(seq, f.writer.keep(record))
}

// raiseHighest makes the highest number of a job that was ever added at least
// seq.
func (f *filler) raiseHighest(seq uint64) error {
	if err := f.ensureTx(); err != nil {
		return err
	}
	f.writer.highest = max(f.writer.highest, seq)
	return nil
}

func (f *filler) commitTx() error {
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
	f.Drop()
	if f.commits++; f.commits%fillSync == 0 {
		return f.Sync()
	}
	return nil
}

// syncAll commits the last transaction and writes the whole file to the disk.
func (f *filler) syncAll() error {
	if err := f.commitTx(); err != nil {
		return err
	}
	return f.Sync()
}

// discard closes the file and removes it.
func (f *filler) discard() {
	if f.tx != nil {
		_ = f.tx.Rollback()
	}
	_ = f.Close()
	_, _ = f.store.files.Remove(f.path)
}
