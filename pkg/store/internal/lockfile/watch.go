package lockfile

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"gm/pkg/store"
)

// watchEvery is the minimum interval between two checks of a Watch. A check
// costs one system call per file.
const watchEvery = 100 * time.Millisecond

// Watch detects that open files of a store were removed, moved or replaced:
// later writes to them are lost. The zero Watch has no files. Its methods may
// be called by several goroutines.
type Watch struct {
	Logger *slog.Logger // logs that the files are missing, and that they are back; may be nil
	Store  string       // the store's name in the log

	mu    sync.Mutex
	files map[string]os.FileInfo
	lock  *File
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

// TakeLock takes the lock of the store at path, as [Take], and logs the name of a
// last holder that did not give it up. If another has it, the error is the
// *store.HeldError itself. It does not watch the lock: see SetLock.
func (w *Watch) TakeLock(path, name string) (*File, error) {
	f, err := Take(path, name)
	if held := new(store.HeldError); errors.As(err, &held) {
		return nil, held
	}
	if err != nil {
		return nil, fmt.Errorf("lock store %s: %w", w.Store, err)
	}
	if f.Left != "" && w.Logger != nil {
		w.Logger.Info("the store was not closed by its last holder", "store", w.Store, "holder", f.Left)
	}
	return f, nil
}

// SetLock makes w watch a lock too. If only the lock's file is missing, w takes
// the lock again.
func (w *Watch) SetLock(f *File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lock = f
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

// Clear forgets all files and the lock.
func (w *Watch) Clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.files)
	w.lock, w.err, w.last = nil, nil, time.Time{}
}

// Check returns an error that wraps [ErrGone] unless every path still names the
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
	w.err = w.look()
	if w.Logger != nil && (before == nil) != (w.err == nil) {
		if w.err != nil {
			w.Logger.Error("store is gone: nothing is kept", "store", w.Store, "err", w.err)
		} else {
			w.Logger.Warn("store is back", "store", w.Store)
		}
	}
	return w.err
}

// ErrGone is wrapped by the error of a store whose files were removed, moved or
// replaced.
var ErrGone = errors.New("removed, moved or replaced while it is in use: move it back, or restart the server to go on with what is there")

func (w *Watch) look() error {
	for path, info := range w.files {
		there, err := os.Stat(path)
		if err == nil && os.SameFile(info, there) {
			continue
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w (%w)", &goneError{path}, err)
		}
		return &goneError{path}
	}
	if w.lock != nil {
		return w.lock.keep()
	}
	return nil
}

type goneError struct{ path string }

func (e *goneError) Error() string { return e.path + ": " + ErrGone.Error() }
func (e *goneError) Unwrap() error { return ErrGone }
