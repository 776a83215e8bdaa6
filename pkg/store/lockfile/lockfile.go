// Package lockfile is the lock of a store that lies in files: a file beside
// them that the system keeps for one process, and in which that one says who
// it is.
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
	// What the file says is for people: the lock is the system's.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(store.Holder(name, time.Now())+"\n"), 0)
	}
	return &File{Left: strings.TrimSpace(string(left)), file: f}, nil
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
		ours, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			return f, nil
		}
		_ = f.Close()
	}
}

// Release gives the lock up and removes the file.
func (f *File) Release() error {
	_ = os.Remove(f.file.Name())
	return f.file.Close()
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
