package work

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"gm/pkg/gearman"
	"gm/pkg/runner"
)

// dirPoll is how often a directory of programs is read. Its path counts, wherever
// that leads: to a network file system, to the new target of a symbolic link, to a
// directory that has come back. The notifications of the kernel report none of
// these.
const dirPoll = time.Second

// directory is a directory in which each executable file is a function of its
// name.
type directory struct {
	path       string   // absolute
	only       []string // functions; empty: all
	newCommand func(path string) *runner.Command
	log        *slog.Logger
	rescan     chan struct{} // asks follow to read the directory at once; holds one

	mu    sync.Mutex
	files map[string]*programFile // by name, as last read

	readErr string // of the last read; owned by update
}

// programFile is a file of a directory.
type programFile struct {
	info    fs.FileInfo
	command *runner.Command // nil: it is no function
	unfit   string          // why the file is not a task
}

// newDirectory returns the directory, which must exist.
func newDirectory(path string, only []string, newCommand func(path string) *runner.Command, log *slog.Logger) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &directory{path: path, only: only, newCommand: newCommand, log: log, rescan: make(chan struct{}, 1)}
	_, err = d.read()
	return d, err
}

// command returns the program of a function, nil if it has no file.
func (d *directory) command(function string) *runner.Command {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[function]; f != nil {
		return f.command
	}
	return nil
}

// lacksFile reports whether the file of a command that could not be started does
// not exist any more. The directory is then read at once.
func (d *directory) lacksFile(c *runner.Command) bool {
	if _, err := exec.LookPath(c.Args[0]); err == nil {
		return false
	}
	select {
	case d.rescan <- struct{}{}:
	default:
	}
	return true
}

// start gives a new worker the functions of the directory.
func (d *directory) start(w *gearman.Worker, handle gearman.Handler) {
	d.replaceFiles(nil)
	d.update(w, handle)
}

// follow updates the functions of the worker until ctx is done.
func (d *directory) follow(ctx context.Context, w *gearman.Worker, handle gearman.Handler) {
	tick := time.NewTicker(dirPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-d.rescan:
		}
		d.update(w, handle)
	}
}

// update reads the directory and changes the functions of the worker. If it exists
// and only this process cannot read it, because it lacks descriptors or the like, the
// functions stay.
func (d *directory) update(w *gearman.Worker, handle gearman.Handler) {
	files, err := d.read()
	d.logReadError(err)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, fs.ErrPermission) {
		return
	}
	before := d.replaceFiles(files)
	names := map[string]*programFile{}
	maps.Copy(names, before)
	maps.Copy(names, files)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d.updateFunction(w, handle, name, before[name], files[name])
	}
}

// updateFunction changes and logs the function of a file. A nil file does not
// exist.
func (d *directory) updateFunction(w *gearman.Worker, handle gearman.Handler, name string, old, now *programFile) {
	could, can := old != nil && old.command != nil, now != nil && now.command != nil
	switch {
	case old == now:
	case can && could:
		d.log.Info("function changed", "function", name)
	case can:
		if err := w.Handle(name, handle); err != nil {
			d.log.Warn("function not taken up", "function", name, "error", err)
			return
		}
		d.log.Info("function taken up", "function", name)
	case could:
		w.Remove(name)
		d.log.Info("function removed", "function", name)
	case now != nil && (old == nil || old.unfit != now.unfit):
		d.log.Info("file left out", "file", name, "reason", now.unfit)
	}
}

// logReadError logs once that the directory cannot be read, and once that it can
// be read again.
func (d *directory) logReadError(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == d.readErr:
	case err != nil:
		d.log.Warn("directory not read", "dir", d.path, "error", err)
	default:
		d.log.Info("directory back", "dir", d.path)
	}
	d.readErr = text
}

// replaceFiles sets the files and returns those before. A file that has not changed
// stays the same programFile.
func (d *directory) replaceFiles(files map[string]*programFile) (before map[string]*programFile) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before = d.files
	for name, now := range files {
		if old := before[name]; old != nil && old.sameAs(now) {
			files[name] = old
		}
	}
	d.files = files
	return before
}

// sameAs reports whether a file has not changed. A name that was moved onto it, a
// write and a chmod all change it.
func (f *programFile) sameAs(g *programFile) bool {
	return os.SameFile(f.info, g.info) && f.info.ModTime().Equal(g.info.ModTime()) &&
		f.info.Size() == g.info.Size() && f.info.Mode() == g.info.Mode() && f.unfit == g.unfit
}

// read returns the files that may be functions.
func (d *directory) read() (map[string]*programFile, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	files := make(map[string]*programFile, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || len(d.only) > 0 && !slices.Contains(d.only, name) {
			continue
		}
		path := filepath.Join(d.path, name)
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue // it was removed, or is a link that leads nowhere
		}
		f := &programFile{info: info}
		if f.unfit = unfitReason(name, path, info); f.unfit == "" {
			f.command = d.newCommand(path)
		}
		files[name] = f
	}
	return files, nil
}

// unfitReason returns why a file is no function, empty if it is one.
func unfitReason(name, path string, info fs.FileInfo) string {
	if !info.Mode().IsRegular() {
		return "not a regular file"
	}
	if strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return "blanks in its name"
	}
	if _, err := exec.LookPath(path); err != nil {
		return "not executable"
	}
	return ""
}
