// Package boltfile keeps a bbolt file from which broken pages take no more than
// their own content. bbolt writes the file; this package reads it, without
// bbolt's map, and looks after its size.
//
//   - [ReadMeta] and [Verify] read a file that nobody has open and trust nothing
//     in it; [Prepare] makes a verified file ready for bbolt;
//   - [File] is the open file: [File.Update] is a transaction of bbolt, and
//     [File.View] reads the state that the last one left;
//   - [Tree], [Bucket] and [Walk] read pages and check each of them. The worst
//     effect of a broken page is an error; [Walk] goes on after it, and
//     [Tree.Strays] finds the leaves to which no page leads any more;
//   - [File.MakeRoom] reserves blocks of the disk, so that a transaction does
//     not meet a full disk when it is half written.
//
// The package knows no jobs: the keys and values are those of its user.
package boltfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"gm/pkg/store"
	"gm/pkg/store/disk/fsys"
)

const (
	// mapAtLeast is the minimum size of the map of a file, so that it seldom
	// must be mapped again, which waits for all readers. It costs addresses, not
	// memory: 16 GiB of them on 64 bits, none on 32.
	mapAtLeast = int(^uint(0) >> 63 << 34)
	// dropEvery is about the number of bytes of mapped pages that come into the
	// memory of the process before Drop removes them.
	dropEvery = 32 << 20
)

const (
	// PlaceSize is about the number of bytes that come into the memory of the
	// process when one place of the file is touched: the system maps the
	// neighbours of the page too.
	PlaceSize = 64 << 10
	// MaxPlaces is the number of places that a transaction should touch at most.
	MaxPlaces = dropEvery / PlaceSize
)

// File is an open bbolt file. Several goroutines may use it at the same time,
// but only one at a time may call Update, MakeRoom, Touch and Drop.
type File struct {
	files    *fsys.FS
	db       *bolt.DB
	file     *os.File    // the same that db has
	reader   io.ReaderAt // of file
	pageSize int64
	reserve  func(f *os.File, from, size int64) error

	// broken: a panic or a fault left db in an unknown state.
	broken atomic.Bool

	// The writer's.
	reserved int64 // bytes from the start of the file that have blocks
	touched  int64 // bytes of the map since the last Drop
}

// Options are the options of Open.
type Options struct {
	NoSync  bool     // transactions do not sync
	Buckets []string // are made if they do not exist
	// Reserve allocates the blocks of a file between two offsets; nil is
	// fsys.Reserve.
	Reserve func(f *os.File, from, size int64) error
}

// Watcher is the [fsys.Watcher] of a bbolt file. A watcher without these
// methods does not see the writes of bbolt.
type Watcher interface {
	fsys.Watcher
	// OpenedBolt is called after bbolt has opened f.
	OpenedBolt(db *bolt.DB, f *os.File)
	// Committed is called when a transaction of bbolt is durable.
	Committed(f *os.File)
}

// watcher returns the watcher of the file, or nil.
func (e *File) watcher() Watcher {
	w, _ := e.files.Watch.(Watcher)
	return w
}

// Open opens a file with bbolt. The file must be new or verified. If another
// process has it open, the error is a *store.HeldError.
func Open(files *fsys.FS, path string, o Options) (*File, error) {
	e := &File{files: files, reserve: o.Reserve}
	if e.reserve == nil {
		e.reserve = fsys.Reserve
	}
	options := &bolt.Options{
		Timeout:         time.Second,
		NoSync:          o.NoSync,
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: mapAtLeast,
		OpenFile: func(name string, flag int, _ os.FileMode) (*os.File, error) {
			var err error
			e.file, err = files.Open(name, flag)
			return e.file, err
		},
	}
	open := func() (err error) {
		e.db, err = bolt.Open(path, 0o600, options)
		return err
	}
	err := protect(open)
	if err != nil && !errors.Is(err, berrors.ErrTimeout) && !IsPanic(err) {
		options.InitialMmapSize = 0 // addresses may be limited
		err = protect(open)
	}
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, &store.HeldError{By: "another process that has " + path + " open"}
	case IsPanic(err):
		e.Abandon()
		return nil, err
	case err != nil:
		return nil, err
	}
	if w := e.watcher(); w != nil {
		w.OpenedBolt(e.db, e.file)
	}
	e.reader = files.ReaderOf(e.file)
	e.db.AllocSize = minChunk // for systems where MakeRoom cannot reserve
	e.pageSize = int64(e.db.Info().PageSize)
	if err := e.makeBuckets(o.Buckets); err != nil {
		e.Abandon()
		return nil, err
	}
	if info, err := e.file.Stat(); err == nil && e.reserve(e.file, 0, info.Size()) == nil {
		e.reserved = info.Size()
	}
	return e, nil
}

// errNoChange ends a transaction that has nothing to commit.
var errNoChange = errors.New("no change")

func (e *File) makeBuckets(names []string) error {
	err := e.Update(func(tx *bolt.Tx) error {
		made := false
		for _, name := range names {
			if tx.Bucket([]byte(name)) != nil {
				continue
			}
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
			made = true
		}
		if !made {
			return errNoChange
		}
		return nil
	})
	if errors.Is(err, errNoChange) {
		return nil
	}
	return err
}

// Close closes the file. Views must have returned.
func (e *File) Close() error {
	if e.Broken() {
		e.Abandon()
		return nil
	}
	return e.db.Close()
}

// Abandon closes the file without its database, whose locks may be held for
// ever. The map stays, because another goroutine may be reading it.
func (e *File) Abandon() {
	if e.file != nil {
		unlock(e.file)
		_ = e.file.Close()
	}
}

// Broken reports whether a panic or a fault has left the database in an unknown
// state. The only calls that are useful then are Close and Abandon.
func (e *File) Broken() bool { return e.broken.Load() }

// PageSize returns the size of a page in bytes.
func (e *File) PageSize() int64 { return e.pageSize }

// SetNoSync sets whether transactions do not sync.
func (e *File) SetNoSync(noSync bool) { e.db.NoSync = noSync }

// Sync writes the file to the disk.
func (e *File) Sync() error { return e.files.Sync(e.file) }

// ReadMeta returns the meta of the last transaction.
func (e *File) ReadMeta() (Meta, error) { return ReadMeta(e.reader) }

// Tree returns the tree of a meta of the file. It is valid until the next
// transaction.
func (e *File) Tree(m Meta) *Tree { return NewTree(e.reader, m) }

// Begin begins a transaction that writes. Nobody else may write until it ends.
func (e *File) Begin() (*bolt.Tx, error) { return e.db.Begin(true) }

// Hold returns the tree that the last transaction left. Its pages stay valid
// until release is called.
func (e *File) Hold() (t *Tree, release func(), err error) {
	var tx *bolt.Tx
	err = e.guard(func() (err error) {
		tx, err = e.db.Begin(false)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	t = &Tree{
		file: e.reader, pageSize: e.pageSize, high: uint64(tx.Size() / e.pageSize),
		root: uint64(tx.Cursor().Bucket().Root()),
	}
	release = func() {
		if !e.Broken() { // otherwise its locks may be held for ever
			_ = e.guard(tx.Rollback)
		}
	}
	return t, release, nil
}

// View calls f with the tree that the last transaction left.
func (e *File) View(f func(*Tree) error) error {
	t, release, err := e.Hold()
	if err != nil {
		return err
	}
	defer release()
	return f(t)
}

// ViewTx calls f with a transaction of bbolt that reads. It costs less than View
// for a few keys, but touches mapped pages.
func (e *File) ViewTx(f func(*bolt.Tx) error) error {
	return e.guard(func() error { return e.db.View(f) })
}

// UnsyncedError is the error of a transaction that was written, but may not be
// on the disk.
type UnsyncedError struct{ Err error }

func (e *UnsyncedError) Error() string { return e.Err.Error() }
func (e *UnsyncedError) Unwrap() error { return e.Err }

// Update commits the changes of f. After an *UnsyncedError, all of them may be
// in the file.
func (e *File) Update(f func(*bolt.Tx) error) error {
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
			if m, _ := e.ReadMeta(); m.Tx >= number {
				err = &UnsyncedError{err}
			}
			return err
		}
		if w := e.watcher(); w != nil && !e.db.NoSync {
			w.Committed(e.file)
		}
		return nil
	})
}

// guard calls f, and turns a panic or a fault in it into an error. The file is
// broken then.
func (e *File) guard(f func() error) error {
	err := protect(f)
	if IsPanic(err) {
		e.broken.Store(true)
	}
	return err
}

// panicError is a panic, or a fault in mapped memory, that was caught.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprint("broken file: ", e.value) }

// IsPanic reports whether err is that of a call in which the file has become
// broken.
func IsPanic(err error) bool {
	var p *panicError
	return errors.As(err, &p)
}

// protect calls f and returns its error, or a *panicError. Touching a mapped
// page that the file no longer has is a fault (SIGBUS).
func protect(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value}
		}
	}()
	return f()
}

// Touch counts bytes of the map that a transaction has touched. It reports
// whether it is time for Drop.
func (e *File) Touch(bytes int64) bool {
	e.touched += bytes
	return e.touched >= dropEvery
}

// Drop removes the pages of the map from the memory of the process. The system
// may keep those of the file in its own.
func (e *File) Drop() {
	e.touched = 0
	_ = e.ViewTx(func(tx *bolt.Tx) error { // so that the map stays in its place
		dropMapped(e.db.Info().Data, tx.Size())
		return nil
	})
}
