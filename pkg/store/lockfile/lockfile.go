// Package lockfile holds what stores in files share:
//
//   - [Take] takes the lock of a store: a file that the system keeps for one
//     process, and in which the process says who it is;
//   - [MakeDirs], [MakeFile] and [SyncDir] make directories and files that a power
//     loss does not take along;
//   - [Watch] detects that the files of a store are removed, moved or replaced
//     while it has them open.
package lockfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gm/pkg/store"
)

// File is a lock that is held. The end of the process gives it up too.
type File struct {
	// Left is what the last holder said of itself if it ended without giving
	// the lock up, else empty.
	Left string

	name string // of the holder
	file *os.File
}

// Take takes the lock at path, which is made if it is not there. Name is what
// others are told of the holder; if it is empty, that is the process. If
// another has the lock, the error is a *store.HeldError.
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

// writeHolder writes the name of the lock's holder into the file. That is for people: the
// lock itself is the system's.
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
	if _, err := f.file.Stat(); err != nil { // it was given up
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

// take opens and locks the file. Its last holder may have removed it in
// between: then it is made anew.
func take(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := Lock(f); err != nil {
			holder := holderIn(f)
			_ = f.Close()
			if errors.Is(err, ErrHeld) {
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

// Release gives the lock up and removes the file, unless another has taken its
// place.
func (f *File) Release() error {
	if !f.isInPlace() {
		return f.file.Close()
	}
	if os.Remove(f.file.Name()) == nil {
		return f.file.Close()
	}
	err := f.file.Close()
	_ = os.Remove(f.file.Name()) // where no open file can be removed
	return err
}

// Abandon gives the lock up and leaves the file, as the end of the process
// does.
func (f *File) Abandon() error { return f.file.Close() }

// ErrHeld is what Lock returns if another process has the lock.
var ErrHeld = errors.New("another process has it")

// holderIn returns what the holder of the lock says of itself.
func holderIn(f *os.File) string {
	b, _ := io.ReadAll(io.LimitReader(f, 500))
	if holder := strings.TrimSpace(string(b)); holder != "" {
		return holder
	}
	return "another process"
}
