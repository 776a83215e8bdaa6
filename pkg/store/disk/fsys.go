package disk

import (
	"errors"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store/lockfile"
)

// fsys changes the files of a store, and reports each change to watch. Only
// bbolt changes a file without it.
type fsys struct {
	watch watcher // nil, except in tests
}

// watcher is notified of changes to files. Calls of the same file come in the
// order of the changes.
type watcher interface {
	opened(f *os.File)
	openedBolt(db *bolt.DB, f *os.File)
	// committed is called when a transaction of bbolt is durable.
	committed(f *os.File)
	wrote(f *os.File, b []byte, offset int64)
	resized(f *os.File, size int64)
	// syncing is called before a sync, and the function that it returns after
	// a sync that succeeded.
	syncing(f *os.File) (synced func())
	renamed(from, to string)
	linked(from, to string)
	removed(name string)
	syncingDir(dir string) (synced func())
}

// open opens a file, which is made if flag says so.
func (y *fsys) open(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err == nil && y.watch != nil {
		y.watch.opened(f)
	}
	return f, err
}

func (y *fsys) writeAt(f *os.File, b []byte, offset int64) error {
	n, err := f.WriteAt(b, offset)
	if y.watch != nil {
		y.watch.wrote(f, b[:n], offset)
	}
	return err
}

func (y *fsys) truncate(f *os.File, size int64) error {
	err := f.Truncate(size)
	if err == nil && y.watch != nil {
		y.watch.resized(f, size)
	}
	return err
}

// sync writes to the disk all that f has.
func (y *fsys) sync(f *os.File) error { return y.watchSync(f, f.Sync) }

// datasync writes to the disk what f has. Its size has not changed.
func (y *fsys) datasync(f *os.File) error {
	if y.watch == nil { // spares each commit an allocation
		return datasync(f)
	}
	return y.watchSync(f, func() error { return datasync(f) })
}

func (y *fsys) watchSync(f *os.File, sync func() error) error {
	if y.watch == nil {
		return sync()
	}
	synced := y.watch.syncing(f)
	err := sync()
	if err == nil {
		synced()
	}
	return err
}

func (y *fsys) rename(from, to string) error {
	err := os.Rename(from, to)
	if err == nil && y.watch != nil {
		y.watch.renamed(from, to)
	}
	return err
}

// keepCopy has name be the file from too, so that from can be replaced. Where
// there are no hard links, it is a copy.
func (y *fsys) keepCopy(from, name string) error {
	if err := os.Link(from, name); err == nil {
		if y.watch != nil {
			y.watch.linked(from, name)
		}
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	out, err := y.open(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, y.sync(out), out.Close(), in.Close())
}

// remove removes a file, if it is there, and reports whether it was.
func (y *fsys) remove(name string) (removed bool, err error) {
	err = os.Remove(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case y.watch != nil:
		y.watch.removed(name)
	}
	return true, nil
}

// syncDir makes durable which files a directory has.
func (y *fsys) syncDir(dir string) error {
	synced := func() {}
	if y.watch != nil {
		synced = y.watch.syncingDir(dir)
	}
	if err := lockfile.SyncDir(dir); err != nil {
		return err
	}
	synced()
	return nil
}
