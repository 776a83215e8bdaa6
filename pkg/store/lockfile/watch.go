package lockfile

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// watchEvery is how often a Watch looks at its files at most. A look costs a
// system call a file.
const watchEvery = 100 * time.Millisecond

// Watch detects that files which a store has open were removed, moved or
// replaced: what is written to them then is lost. The zero Watch has no files.
// Its methods may be called by several goroutines.
type Watch struct {
	Logger *slog.Logger // logs when the files go and when they are back; may be nil
	Store  string       // the store's name in the log

	mu    sync.Mutex
	files map[string]os.FileInfo
	lock  *File
	last  time.Time // of the last look
	err   error     // the result of the last look
}

// Set has w watch the file that path names now, in place of the one before.
// Without such a file there is nothing to watch.
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

// SetLock has w watch a lock too. If only its file is missing, it is taken anew.
func (w *Watch) SetLock(f *File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lock = f
}

// Change has w watch the file that path names after change, which replaces it.
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
// file that it named. It looks at the files every tenth of a second, and
// returns what it found last between these times.
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
