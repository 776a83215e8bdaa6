// Package lockfile has the code that stores in files share:
//
//   - [Take] takes the lock of a store: a file that the system locks for one
//     process, and into which the process writes its name;
//   - [MakeDirs], [MakeFile] and [SyncDir] create directories and files that
//     survive a power loss;
//   - [Watch] detects that the open files of a store are removed, moved or
//     replaced.
package lockfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gm/internal/filelock"
	"gm/pkg/store"
)

// File is a held lock. The end of the process releases it too.
type File struct {
	// Left is the name of the last holder if it ended without releasing the
	// lock, or empty.
	Left string

	name string // name of the holder
	file *os.File
}

// Take takes the lock at path, and creates the file if needed. name is the name
// of the holder for others; if it is empty, the process is named. If another
// process has the lock, the error is a *store.HeldError.
func Take(path, name string) (*File, error) {
	f, err := take(path)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = fmt.Sprintf("gm, pid %d", os.Getpid())
	}
	left, _ := io.ReadAll(io.LimitReader(f, 500))
	l := &File{Left: strings.TrimSpace(string(left)), name: name, file: f}
	l.writeHolder()
	return l, nil
}

// writeHolder writes the name of the lock's holder into the file. The name is
// only for readers; the system keeps the lock itself.
func (f *File) writeHolder() {
	if err := f.file.Truncate(0); err == nil {
		_, _ = f.file.WriteAt([]byte(store.Holder(f.name, time.Now())+"\n"), 0)
	}
}

// keep takes the lock anew if its file was removed or replaced, which would let
// another process have the lock too.
func (f *File) keep() error {
	if f.isInPlace() {
		return nil
	}
	if _, err := f.file.Stat(); err != nil { // it was released
		return fmt.Errorf("lock %s: %w", f.file.Name(), err)
	}
	file, err := take(f.file.Name())
	if err != nil {
		return fmt.Errorf("lock was removed: %w", err)
	}
	_ = f.file.Close()
	f.file = file
	f.writeHolder()
	return nil
}

// isInPlace reports whether the lock's path still names its file.
func (f *File) isInPlace() bool {
	ours, err1 := f.file.Stat()
	there, err2 := os.Stat(f.file.Name())
	return err1 == nil && err2 == nil && os.SameFile(ours, there)
}

// take opens and locks the file. If its last holder has removed it in between,
// take creates it again.
func take(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := filelock.Lock(f); err != nil {
			holder := holderIn(f)
			_ = f.Close()
			if errors.Is(err, filelock.ErrHeld) {
				return nil, &store.HeldError{By: holder}
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if (&File{file: f}).isInPlace() {
			return f, nil
		}
		_ = f.Close()
	}
}

// Release releases the lock and removes the file, unless another file has
// replaced it.
func (f *File) Release() error {
	if !f.isInPlace() {
		return f.file.Close()
	}
	if os.Remove(f.file.Name()) == nil {
		return f.file.Close()
	}
	err := f.file.Close()
	_ = os.Remove(f.file.Name()) // on systems that cannot remove an open file
	return err
}

// Abandon releases the lock and leaves the file, as the end of the process
// does.
func (f *File) Abandon() error { return f.file.Close() }

// holderIn returns the name of the lock's holder.
func holderIn(f *os.File) string {
	b, _ := io.ReadAll(io.LimitReader(f, 500))
	if holder := strings.TrimSpace(string(b)); holder != "" {
		return holder
	}
	return "another process"
}
