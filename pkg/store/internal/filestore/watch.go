package filestore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// watchEvery is the minimum interval between two checks of a Watch. A check
// costs one system call per file.
const watchEvery = 100 * time.Millisecond

// Watch detects that open files of a store were removed, moved or replaced:
// later writes to them are lost. The zero Watch has no files. Its methods may
// be called by several goroutines.
type Watch struct {
	log *slog.Logger // logs that the files are missing, and that they are back; may be nil

	mu    sync.Mutex
	files map[string]os.FileInfo
	lock  *Lock
	last  time.Time // time of the last check
	err   error     // result of the last check
}

// Set makes w watch the file that path names now, instead of an earlier one. If
// there is no file, w does not watch path.
func (w *Watch) Set(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		delete(w.files, path)
		return
	}
	if w.files == nil {
		w.files = make(map[string]os.FileInfo)
	}
	w.files[path] = info
}

// setLock makes w watch a lock too, or none. If only the lock's file is missing,
// w takes the lock again.
func (w *Watch) setLock(l *Lock) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lock = l
}

// Change calls change, which replaces the file at path, and makes w watch the
// new file.
func (w *Watch) Change(path string, change func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := change(); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && w.files[path] != nil {
		w.files[path] = info
	}
	return nil
}

// Clear forgets all files. A lock stays watched.
func (w *Watch) Clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.files)
	w.err, w.last = nil, time.Time{}
}

// Check returns an error that wraps [ErrMoved] unless every path still names the
// file that it named. It checks the files at most every tenth of a second, and
// returns the last result between checks.
func (w *Watch) Check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if !w.last.IsZero() && now.Sub(w.last) < watchEvery {
		return w.err
	}
	w.last = now
	before := w.err
	w.err = w.checkFiles()
	if w.log != nil && (before == nil) != (w.err == nil) {
		if w.err != nil {
			w.log.Error("the files of the store are missing: no job is stored", "err", w.err)
		} else {
			w.log.Warn("the files of the store are in their place again")
		}
	}
	return w.err
}

// ErrMoved is wrapped by the error of a store whose files were removed, moved or
// replaced.
var ErrMoved = errors.New("removed, moved or replaced while it is in use: move it back, or restart the server to use the files that are there")

// checkFiles returns the error of the first file that is not in its place. It
// restores the lock.
func (w *Watch) checkFiles() error {
	for path, info := range w.files {
		there, err := os.Stat(path)
		if err == nil && os.SameFile(info, there) {
			continue
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w (%w)", &movedError{path}, err)
		}
		return &movedError{path}
	}
	if w.lock != nil {
		return w.lock.restore()
	}
	return nil
}

type movedError struct{ path string }

func (e *movedError) Error() string { return e.path + ": " + ErrMoved.Error() }
func (e *movedError) Unwrap() error { return ErrMoved }
