package disk

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"gm/pkg/store"
)

// The buckets.
const (
	jobsBucket   = "jobs"   // seq, 8 bytes, big-endian -> store.AppendRecord or, of large payloads, store.AppendHead; or a pack of these
	bodiesBucket = "bodies" // seq, 8 bytes, and number, 4 bytes, big-endian -> a piece of a large payload, sealed
	extrasBucket = "extras" // key -> value, sealed
)

var (
	jobsName   = []byte(jobsBucket)
	bodiesName = []byte(bodiesBucket)
	extrasName = []byte(extrasBucket)
)

var errNoReserve = errors.New("room can't be reserved")

const (
	// mapAtLeast is what is mapped of a file at least, so that it seldom has
	// to be mapped anew, which waits for whoever reads. It costs addresses,
	// not memory: 16 GiB of them where there are 64 bits, none where 32.
	mapAtLeast = int(^uint(0) >> 63 << 34)
	// dropEvery is how many bytes of mapped pages come into the process's
	// memory, about, before they are taken out again. An operation brings
	// faultSize: the system maps the neighbours of the page that is touched.
	dropEvery = 32 << 20
	faultSize = 64 << 10
)

// engine is an open bbolt file. bbolt writes it; it is read without bbolt's
// map, so that nothing in it can do harm and the map takes no memory.
type engine struct {
	files    *fsys
	path     string
	db       *bolt.DB
	file     *os.File // the same that db has
	pageSize int64
	sealing  sealing // never changes while the engine is in use

	// broken: a panic or a fault left db in a state that is not known.
	broken atomic.Bool

	// The writer's.
	reserve  func(f *os.File, from, size int64) error // but for tests, reserve
	reserved int64                                    // bytes from the file's start whose blocks are there
	touched  int64                                    // bytes of the map since they were dropped
}

// openBolt opens path with bbolt. The file must be new or verified.
func openBolt(files *fsys, path string, noSync bool) (*engine, error) {
	e := &engine{files: files, path: path, reserve: reserve}
	options := &bolt.Options{
		Timeout:         time.Second,
		NoSync:          noSync,
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: mapAtLeast,
		OpenFile: func(name string, flag int, _ os.FileMode) (*os.File, error) {
			var err error
			e.file, err = files.open(name, flag)
			return e.file, err
		},
	}
	open := func() (err error) {
		e.db, err = bolt.Open(path, 0o600, options)
		return err
	}
	err := protect(open)
	if err != nil && !errors.Is(err, berrors.ErrTimeout) && !isPanic(err) {
		options.InitialMmapSize = 0 // addresses may be limited
		err = protect(open)
	}
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, &store.HeldError{By: "another process that has " + path + " open"}
	case isPanic(err):
		e.abandon()
		return nil, err
	case err != nil:
		return nil, err
	}
	if files.watch != nil {
		files.watch.openedBolt(e.db, e.file)
	}
	e.db.AllocSize = minChunk // where makeRoom can't reserve
	e.pageSize = int64(e.db.Info().PageSize)
	if err := e.update(makeBuckets); err != nil && !errors.Is(err, errNoChange) {
		e.abandon()
		return nil, err
	}
	if info, err := e.file.Stat(); err == nil && reserve(e.file, 0, info.Size()) == nil {
		e.reserved = info.Size()
	}
	return e, nil
}

// errNoChange ends a transaction that has nothing to commit.
var errNoChange = errors.New("no change")

func makeBuckets(tx *bolt.Tx) error {
	made := false
	for _, name := range [][]byte{jobsName, bodiesName, extrasName} {
		if tx.Bucket(name) != nil {
			continue
		}
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
		made = true
	}
	if !made {
		return errNoChange
	}
	return nil
}

// close gives up the file.
func (e *engine) close() error {
	if e.broken.Load() {
		e.abandon()
		return nil
	}
	return e.db.Close()
}

// abandon gives up the file of a database whose locks may be taken for ever.
// The map stays: another goroutine may be reading it.
func (e *engine) abandon() {
	if e.file != nil {
		unflock(e.file)
		_ = e.file.Close()
	}
}

// snapshot is the state of the file that a transaction left. Its pages stay
// while it is in use.
type snapshot struct {
	tree    tree
	root    uint64
	sealing sealing
}

func (snap *snapshot) bucket(name string) (*bucket, error) {
	return snap.tree.bucket(snap.root, name)
}

// hold returns the state that the last transaction left, until release is
// called.
func (e *engine) hold() (s *snapshot, release func(), err error) {
	var tx *bolt.Tx
	err = e.guard(func() (err error) {
		tx, err = e.db.Begin(false)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	s = &snapshot{
		tree: tree{file: e.file, pageSize: e.pageSize, high: uint64(tx.Size() / e.pageSize)},
		root: uint64(tx.Cursor().Bucket().Root()), sealing: e.sealing,
	}
	release = func() {
		if !e.broken.Load() { // else its locks may be taken for ever
			_ = e.guard(tx.Rollback)
		}
	}
	return s, release, nil
}

// view calls f with the state that the last transaction left.
func (e *engine) view(f func(*snapshot) error) error {
	s, release, err := e.hold()
	if err != nil {
		return err
	}
	defer release()
	return f(s)
}

// unsyncedError is the error of a transaction that has been written but, maybe,
// not to the disk.
type unsyncedError struct{ err error }

func (e *unsyncedError) Error() string { return e.err.Error() }
func (e *unsyncedError) Unwrap() error { return e.err }

// update commits what f does. If the error is an *unsyncedError, all of it may
// be there nevertheless.
func (e *engine) update(f func(*bolt.Tx) error) error {
	return e.guard(func() error {
		tx, err := e.db.Begin(true)
		if err != nil {
			return err
		}
		number := uint64(tx.ID())
		if err := f(tx); err != nil {
			_ = tx.Rollback()
			return err
		}
		if err := tx.Commit(); err != nil {
			if m, _ := readMeta(e.file); m.tx >= number {
				err = &unsyncedError{err}
			}
			return err
		}
		if e.files.watch != nil && !e.db.NoSync {
			e.files.watch.committed(e.file)
		}
		return nil
	})
}

// guard calls f, and turns a panic or a fault in it into an error, after which
// the engine is broken.
func (e *engine) guard(f func() error) error {
	err := protect(f)
	if isPanic(err) {
		e.broken.Store(true)
	}
	return err
}

// panicError is a panic, or a fault in mapped memory, that was caught.
type panicError struct{ what any }

func (e *panicError) Error() string { return fmt.Sprint("broken file: ", e.what) }

func isPanic(err error) bool {
	var p *panicError
	return errors.As(err, &p)
}

// protect calls f and returns its error, or a *panicError. A page that is not
// there any more is a fault (SIGBUS) to whoever touches it in the map.
func protect(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if what := recover(); what != nil {
			err = &panicError{what}
		}
	}()
	return f()
}

// drop takes the map's pages out of the process's memory. Whether the file's
// stay in the system's is the system's choice.
func (e *engine) drop() {
	e.touched = 0
	_ = e.guard(func() error {
		return e.db.View(func(tx *bolt.Tx) error { // so that the map stays where it is
			dropMapped(e.db.Info().Data, tx.Size())
			return nil
		})
	})
}
