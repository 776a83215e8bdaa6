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
	buckets map[string]*bolt.Bucket
	arena   []byte // of tx
	commits int
}

// newFiller makes the file at path, in place of what is there.
func newFiller(path string) (*filler, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	e, err := openBolt(path, true)
	if err != nil {
		return nil, err
	}
	return &filler{engine: e}, nil
}

// bucket returns a bucket of the current transaction.
func (f *filler) bucket(name []byte) (*bolt.Bucket, error) {
	if len(f.arena) >= fillBatch || f.touched >= dropEvery {
		if err := f.commit(); err != nil {
			return nil, err
		}
	}
	if f.tx == nil {
		tx, err := f.db.Begin(true)
		if err != nil {
			return nil, err
		}
		f.tx, f.buckets, f.arena = tx, make(map[string]*bolt.Bucket), make([]byte, 0, fillBatch)
		for _, name := range [][]byte{jobsName, bodiesName, extrasName} {
			b := tx.Bucket(name)
			b.FillPercent = fillPercent
			f.buckets[string(name)] = b
		}
	}
	return f.buckets[string(name)], nil
}

func (f *filler) put(name, key, value []byte) error {
	b, err := f.bucket(name)
	if err != nil {
		return err
	}
	start := len(f.arena)
	f.arena = append(f.arena, value...)
	return b.Put(key, f.arena[start:len(f.arena):len(f.arena)])
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

// raise sees that the highest number of a job that was ever added is kept.
func (f *filler) raise(seq uint64) error {
	b, err := f.bucket(jobsName)
	if err != nil || b.Sequence() >= seq {
		return err
	}
	return b.SetSequence(seq)
}

func (f *filler) commit() error {
	if f.tx == nil {
		return nil
	}
	tx := f.tx
	f.tx, f.arena = nil, nil
	if err := tx.Commit(); err != nil {
		return err
	}
	f.drop()
	if f.commits++; f.commits%fillSync == 0 {
		return f.file.Sync()
	}
	return nil
}

// sync brings all of it to the disk.
func (f *filler) sync() error {
	if err := f.commit(); err != nil {
		return err
	}
	return f.file.Sync()
}

// discard closes the file and removes it.
func (f *filler) discard() {
	if f.tx != nil {
		_ = f.tx.Rollback()
	}
	_ = f.close()
	_ = os.Remove(f.path)
}
