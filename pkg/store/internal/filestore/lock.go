package filestore

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

// Lock is a held lock. The end of the process releases it too.
type Lock struct {
	// Left is the name of the last holder if it ended without releasing the
	// lock, or empty.
	Left string

	name string // name of the holder
	file *os.File
}

// TakeLock takes the lock at path, and creates the file if needed. name is the
// name of the holder for others; if it is empty, the process is named. If another
// process has the lock, the error is a [*store.HeldError].
func TakeLock(path, name string) (*Lock, error) {
	f, err := openLocked(path)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = fmt.Sprintf("gm, pid %d", os.Getpid())
	}
	left, _ := io.ReadAll(io.LimitReader(f, 500))
	l := &Lock{Left: strings.TrimSpace(string(left)), name: name, file: f}
	l.writeHolder()
	return l, nil
}

// writeHolder writes the name of the lock's holder into the file. The name is
// only for readers; the system keeps the lock itself.
func (l *Lock) writeHolder() {
	if err := l.file.Truncate(0); err == nil {
		_, _ = l.file.WriteAt([]byte(store.Holder(l.name, time.Now())+"\n"), 0)
	}
}

// restore takes the lock again if its file was removed or replaced. Without
// that, another process could take the lock too.
func (l *Lock) restore() error {
	if l.isInPlace() {
		return nil
	}
	if _, err := l.file.Stat(); err != nil { // it was released
		return fmt.Errorf("lock %s: %w", l.file.Name(), err)
	}
	file, err := openLocked(l.file.Name())
	if err != nil {
		return fmt.Errorf("lock was removed: %w", err)
	}
	_ = l.file.Close()
	l.file = file
	l.writeHolder()
	return nil
}

// isInPlace reports whether the lock's path still names its file.
func (l *Lock) isInPlace() bool {
	ours, err1 := l.file.Stat()
	there, err2 := os.Stat(l.file.Name())
	return err1 == nil && err2 == nil && os.SameFile(ours, there)
}

// openLocked opens and locks the file. If its last holder has removed it in
// between, openLocked creates it again.
func openLocked(path string) (*os.File, error) {
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
		if (&Lock{file: f}).isInPlace() {
			return f, nil
		}
		_ = f.Close()
	}
}

// Release releases the lock and removes the file, unless another file has
// replaced it.
func (l *Lock) Release() error {
	if !l.isInPlace() {
		return l.file.Close()
	}
	if os.Remove(l.file.Name()) == nil {
		return l.file.Close()
	}
	err := l.file.Close()
	_ = os.Remove(l.file.Name()) // on systems that cannot remove an open file
	return err
}

// Abandon releases the lock and leaves the file, as the end of the process
// does.
func (l *Lock) Abandon() error { return l.file.Close() }

// holderIn returns the name of the lock's holder.
func holderIn(f *os.File) string {
	b, _ := io.ReadAll(io.LimitReader(f, 500))
	if holder := strings.TrimSpace(string(b)); holder != "" {
		return holder
	}
	return "another process"
}
