// Package fsys changes the files of a disk store: it opens, writes, syncs,
// reserves, renames and removes them. A [Watcher] gets each change in order, so
// that a test can replay the changes up to a loss of power.
package fsys

import (
	"errors"
	"io"
	"os"

	"gm/pkg/store/internal/filestore"
)

// FS changes the files of a store. The zero value changes them without a
// watcher.
type FS struct {
	Watch Watcher // nil, except in tests
	// Reader returns the reader of an open file; nil, except in tests, is the
	// file itself.
	Reader func(f *os.File) io.ReaderAt
}

// Watcher is notified of changes to files. Calls for the same file come in the
// order of the changes.
type Watcher interface {
	Opened(f *os.File)
	Wrote(f *os.File, b []byte, offset int64)
	Resized(f *os.File, size int64)
	// Syncing is called before a sync, and the function that it returns after
	// a sync that succeeded.
	Syncing(f *os.File) (synced func())
	Renamed(from, to string)
	Linked(from, to string)
	Removed(name string)
	SyncingDir(dir string) (synced func())
}

// ErrNoReserve is returned by Reserve if the system cannot reserve blocks.
var ErrNoReserve = errors.New("room can't be reserved")

// Open opens a file with a mode for its owner only. Flag is that of
// os.OpenFile.
func (y *FS) Open(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err == nil && y.Watch != nil {
		y.Watch.Opened(f)
	}
	return f, err
}

// ReaderOf returns the reader of an open file.
func (y *FS) ReaderOf(f *os.File) io.ReaderAt {
	if y.Reader == nil {
		return f
	}
	return y.Reader(f)
}

// WriteAt writes all of b at an offset.
func (y *FS) WriteAt(f *os.File, b []byte, offset int64) error {
	n, err := f.WriteAt(b, offset)
	if y.Watch != nil {
		y.Watch.Wrote(f, b[:n], offset)
	}
	return err
}

// Truncate changes the size of a file.
func (y *FS) Truncate(f *os.File, size int64) error {
	err := f.Truncate(size)
	if err == nil && y.Watch != nil {
		y.Watch.Resized(f, size)
	}
	return err
}

// Sync writes the content and the size of f to the disk.
func (y *FS) Sync(f *os.File) error { return y.watchSync(f, f.Sync) }

// Datasync writes the content of f, whose size has not changed, to the disk.
func (y *FS) Datasync(f *os.File) error {
	if y.Watch == nil { // saves an allocation for each commit
		return datasync(f)
	}
	return y.watchSync(f, func() error { return datasync(f) })
}

func (y *FS) watchSync(f *os.File, sync func() error) error {
	if y.Watch == nil {
		return sync()
	}
	synced := y.Watch.Syncing(f)
	err := sync()
	if err == nil {
		synced()
	}
	return err
}

// Rename gives the file from the name to. A file that had it is replaced.
func (y *FS) Rename(from, to string) error {
	err := os.Rename(from, to)
	if err == nil && y.Watch != nil {
		y.Watch.Renamed(from, to)
	}
	return err
}

// KeepCopy gives the file from the second name name, so that from can be
// replaced. Without hard links, it copies the file.
func (y *FS) KeepCopy(from, name string) error {
	if err := os.Link(from, name); err == nil {
		if y.Watch != nil {
			y.Watch.Linked(from, name)
		}
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	out, err := y.Open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, y.Sync(out), out.Close(), in.Close())
}

// Remove removes a file, if it exists, and reports whether it existed.
func (y *FS) Remove(name string) (removed bool, err error) {
	err = os.Remove(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case y.Watch != nil:
		y.Watch.Removed(name)
	}
	return true, nil
}

// SyncDir writes the names of the files in a directory to the disk.
func (y *FS) SyncDir(dir string) error {
	synced := func() {}
	if y.Watch != nil {
		synced = y.Watch.SyncingDir(dir)
	}
	if err := filestore.SyncDir(dir); err != nil {
		return err
	}
	synced()
	return nil
}
