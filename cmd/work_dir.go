package cmd

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

// dirPoll is how often a directory of programs is looked at. What counts is its
// path, wherever that leads: to a network file system, to where a symbolic link
// was switched, to a directory that has come back. The kernel's notices tell of
// none of these.
const dirPoll = time.Second

// workDir is a directory in which each executable file is a function of its
// name.
type workDir struct {
	path       string   // absolute
	only       []string // functions; empty: all
	newCommand func(path string) *runner.Command
	log        *slog.Logger
	again      chan struct{} // a look is wanted at once; holds one

	mu    sync.Mutex
	files map[string]*dirFile // by name, as last seen

	failed string // what the last look failed with; of the one who looks
}

// dirFile is a file of a workDir as it was seen.
type dirFile struct {
	info    fs.FileInfo
	command *runner.Command // nil: it is no function
	why     string          // it is none
}

// newWorkDir returns the directory, which must be there at first.
func newWorkDir(path string, only []string, newCommand func(path string) *runner.Command, log *slog.Logger) (*workDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &workDir{path: path, only: only, newCommand: newCommand, log: log, again: make(chan struct{}, 1)}
	_, err = d.read()
	return d, err
}

// command returns what does the jobs of a function, nil if it has no file.
func (d *workDir) command(function string) *runner.Command {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[function]; f != nil {
		return f.command
	}
	return nil
}

// gone reports whether the file of a command that could not be started is there
// no longer. It is looked for at once then.
func (d *workDir) gone(c *runner.Command) bool {
	if _, err := exec.LookPath(c.Args[0]); err == nil {
		return false
	}
	select {
	case d.again <- struct{}{}:
	default:
	}
	return true
}

// serve makes a new worker able to do what the directory has.
func (d *workDir) serve(w *gearman.Worker, handle gearman.Handler) {
	d.swap(nil)
	d.look(w, handle)
}

// follow keeps the worker's functions as the directory is, until ctx is done.
func (d *workDir) follow(ctx context.Context, w *gearman.Worker, handle gearman.Handler) {
	tick := time.NewTicker(dirPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-d.again:
		}
		d.look(w, handle)
	}
}

// look takes up what has changed since it last looked. If the directory is well
// and only this process can't read it, for want of descriptors or the like, it
// is taken to be as it was.
func (d *workDir) look(w *gearman.Worker, handle gearman.Handler) {
	files, err := d.read()
	d.note(err)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, fs.ErrPermission) {
		return
	}
	before := d.swap(files)
	names := map[string]*dirFile{}
	maps.Copy(names, before)
	maps.Copy(names, files)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d.compare(w, handle, name, before[name], files[name])
	}
}

// compare tells the worker and the log what has become of a file; nil is one
// that is not there.
func (d *workDir) compare(w *gearman.Worker, handle gearman.Handler, name string, old, now *dirFile) {
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
	case now != nil && (old == nil || old.why != now.why):
		d.log.Info("file left out", "file", name, "reason", now.why)
	}
}

// note logs that the directory can't be read, or can be again: each once.
func (d *workDir) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == d.failed:
	case err != nil:
		d.log.Warn("directory not read", "dir", d.path, "error", err)
	default:
		d.log.Info("directory back", "dir", d.path)
	}
	d.failed = text
}

// swap puts files in the place of those seen before, which it returns. One that
// has not changed stays the same.
func (d *workDir) swap(files map[string]*dirFile) (before map[string]*dirFile) {
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

// sameAs reports whether a file is still the one it was. A name that was moved
// onto it, a write and a chmod all make it another.
func (f *dirFile) sameAs(g *dirFile) bool {
	return os.SameFile(f.info, g.info) && f.info.ModTime().Equal(g.info.ModTime()) &&
		f.info.Size() == g.info.Size() && f.info.Mode() == g.info.Mode() && f.why == g.why
}

// read returns the files that may be functions.
func (d *workDir) read() (map[string]*dirFile, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	files := make(map[string]*dirFile, len(entries))
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || len(d.only) > 0 && !slices.Contains(d.only, name) {
			continue
		}
		path := filepath.Join(d.path, name)
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue // it is gone, or a link that leads nowhere
		}
		f := &dirFile{info: info}
		if f.why = unfit(name, path, info); f.why == "" {
			f.command = d.newCommand(path)
		}
		files[name] = f
	}
	return files, nil
}

// unfit returns why a file is no function, empty if it is one.
func unfit(name, path string, info fs.FileInfo) string {
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
