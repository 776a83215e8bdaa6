package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"gm/pkg/batch"
)

// recordError is a failure to write the result of one record that says nothing
// about those of others: the record fails, the run goes on.
type recordError struct{ err error }

func (e *recordError) Error() string { return e.err.Error() }
func (e *recordError) Unwrap() error { return e.err }

// endsOutput reports whether the next result would meet the same error: there is
// no room, or the disk or the system fails.
func endsOutput(err error) bool {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return false
	}
	switch number {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.ESTALE,
		syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM:
		return true
	}
	return false
}

// writeError returns an error of writing a result: a recordError, unless further
// results would fail as well.
func writeError(err error) error {
	err = fmt.Errorf("write result: %w", err)
	if endsOutput(err) {
		return exitWith(exitIO, err)
	}
	return &recordError{err}
}

// postponed is a sink whose recordErrors come from end alone: after one, the
// rest of the record's result is dropped.
type postponed struct {
	fileSinker
	failed error // of the record whose result is being written
}

// fileSinker is a sink that may return recordErrors from data, too.
type fileSinker interface {
	sink
	// drop gives up what there is of a record's files.
	drop()
}

func (p *postponed) data(r *batch.Record, b []byte) error {
	if p.failed != nil {
		return nil
	}
	return p.postpone(p.fileSinker.data(r, b))
}

// postpone keeps a recordError for end.
func (p *postponed) postpone(err error) error {
	var one *recordError
	if !errors.As(err, &one) {
		return err
	}
	p.failed = one
	p.drop()
	return nil
}

func (p *postponed) end(r *batch.Record, o *outcome) error {
	failed := p.failed
	p.failed = nil
	if failed != nil && r.Err == nil {
		return failed
	}
	return p.fileSinker.end(r, o)
}

// fileSink writes the result of each record that completes to a file of its
// own (--out).
type fileSink struct {
	path    func(r *batch.Record) (string, error)
	base    string   // the folder that the files have to be in; empty: any
	root    *os.Root // base, once there was a file
	current *newFile // of the record whose result is being written; nil before its first byte
}

func (s *fileSink) open(r *batch.Record) error {
	if s.current != nil {
		return nil
	}
	path, err := s.path(r)
	if err == nil {
		s.current, err = s.create(path)
	}
	if err != nil {
		return writeError(err)
	}
	return nil
}

func (s *fileSink) create(path string) (*newFile, error) {
	if s.base == "" {
		return createNew(path)
	}
	name, err := placeInside(s.base, path)
	if err != nil {
		return nil, err
	}
	if s.root == nil {
		if err := os.MkdirAll(s.base, 0o777); err != nil {
			return nil, err
		}
		if s.root, err = os.OpenRoot(s.base); err != nil {
			return nil, err
		}
	}
	return createIn(s.root, name)
}

func (s *fileSink) data(r *batch.Record, b []byte) error {
	if err := s.open(r); err != nil {
		return err
	}
	if _, err := s.current.Write(b); err != nil {
		return writeError(err)
	}
	return nil
}

func (s *fileSink) end(r *batch.Record, _ *outcome) error {
	if r.Err != nil {
		s.drop()
		return nil
	}
	if err := s.open(r); err != nil {
		return err
	}
	f := s.current
	s.current = nil
	if err := f.commit(); err != nil {
		return writeError(err)
	}
	return nil
}

func (s *fileSink) flush() error { return nil }

func (s *fileSink) drop() {
	if s.current != nil {
		s.current.drop()
		s.current = nil
	}
}

// close drops the record that is not complete.
func (s *fileSink) close() error {
	s.drop()
	if s.root != nil {
		return s.root.Close()
	}
	return nil
}

// dirSink writes what comes of each record into a folder of its own (--results):
// stdout is the result, stderr what its worker had to say, exit the code that
// the record would have made gm end with, name what it is called.
type dirSink struct {
	dir     string
	name    func(r *batch.Record) string
	current *os.File // stdout of the record whose result is being written
	temp    string   // its folder, before it is complete
}

func (s *dirSink) open() error {
	if s.current != nil {
		return nil
	}
	temp := filepath.Join(s.dir, tempName())
	if err := os.Mkdir(temp, 0o777); err != nil {
		return exitWith(exitIO, fmt.Errorf("write results: %w", err))
	}
	f, err := os.Create(filepath.Join(temp, "stdout"))
	if err != nil {
		os.RemoveAll(temp)
		return exitWith(exitIO, fmt.Errorf("write results: %w", err))
	}
	s.current, s.temp = f, temp
	return nil
}

func (s *dirSink) data(_ *batch.Record, b []byte) error {
	if err := s.open(); err != nil {
		return err
	}
	if _, err := s.current.Write(b); err != nil {
		return writeError(err)
	}
	return nil
}

func (s *dirSink) end(r *batch.Record, o *outcome) error {
	if err := s.open(); err != nil {
		return err
	}
	err := s.finish(r, o)
	if err != nil {
		os.RemoveAll(s.temp)
		return writeError(err)
	}
	return nil
}

// finish completes a record's folder and gives it its name. It replaces one of
// an earlier run.
func (s *dirSink) finish(r *batch.Record, o *outcome) error {
	var said []byte
	for _, w := range o.warnings {
		said = append(said, wholeLine([]byte(w))...)
	}
	said = append(said, wholeLine(o.exception)...)
	err := s.current.Close()
	s.current = nil
	return errors.Join(err,
		os.WriteFile(filepath.Join(s.temp, "stderr"), said, 0o666),
		os.WriteFile(filepath.Join(s.temp, "exit"), fmt.Appendln(nil, o.code()), 0o666),
		os.WriteFile(filepath.Join(s.temp, "name"), []byte(s.name(r)), 0o666),
		s.place(r.Seq),
	)
}

func (s *dirSink) place(seq int) error {
	dir := filepath.Join(s.dir, strconv.Itoa(seq))
	err := os.Rename(s.temp, dir)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(s.temp, dir)
}

func (s *dirSink) flush() error { return nil }

func (s *dirSink) drop() {
	if s.current != nil {
		s.current.Close()
		s.current = nil
		os.RemoveAll(s.temp)
	}
}

// close drops the record that is not complete.
func (s *dirSink) close() error {
	s.drop()
	return nil
}

// newFile is a file that comes into being when it is whole: it is written
// beside its place, and renamed.
type newFile struct {
	*os.File
	temp string   // what it is called until then; empty: what is written is in its place already
	path string   // its place
	root *os.Root // the folder that temp and path are in; nil: they are of the system
}

// createNew begins the file path, and the folders that it lacks. What stands at
// path stays until commit; what is no regular file, such as /dev/null, is
// written to as it is.
func createNew(path string) (*newFile, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return &newFile{File: f}, nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	temp := filepath.Join(dir, tempName())
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return &newFile{File: f, temp: temp, path: path}, nil
}

// createIn is createNew within the folder root: no link leads out of it, and what
// is no regular file is refused.
func createIn(root *os.Root, path string) (*newFile, error) {
	path, err := followLinks(root, path)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(path)
	if dir != "." {
		if err := root.MkdirAll(dir, 0o777); err != nil {
			return nil, err
		}
	}
	temp := filepath.Join(dir, tempName())
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	return &newFile{File: f, temp: temp, path: path, root: root}, nil
}

// maxLinks is how many symbolic links may follow each other, as on Linux.
const maxLinks = 40

// followLinks returns what path is called if it is a symbolic link, or a link to
// one, to something in root.
func followLinks(root *os.Root, path string) (string, error) {
	for range maxLinks {
		info, err := root.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path, nil
		case err != nil:
			return "", err
		case info.Mode().IsRegular():
			return path, nil
		case info.Mode().Type() != fs.ModeSymlink:
			return "", withHint(fmt.Errorf("%s: it is no regular file", path), "--out-anywhere writes to what is there")
		}
		target, err := root.Readlink(path)
		if err != nil {
			return "", err
		}
		next := filepath.Join(filepath.Dir(path), target)
		if filepath.IsAbs(target) || !filepath.IsLocal(next) {
			return "", withHint(fmt.Errorf("%s: it is a link to %s, out of the folder", path, target), "--out-anywhere follows it")
		}
		path = next
	}
	return "", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
}

// commit puts the file in its place.
func (f *newFile) commit() error {
	err := f.Close()
	if f.temp == "" {
		return err
	}
	if err == nil {
		err = f.rename()
	}
	if err != nil {
		f.remove()
	}
	return err
}

func (f *newFile) rename() error {
	if f.root != nil {
		return f.root.Rename(f.temp, f.path)
	}
	return os.Rename(f.temp, f.path)
}

// remove removes the file that has not been renamed yet.
func (f *newFile) remove() {
	switch {
	case f.temp == "":
	case f.root != nil:
		f.root.Remove(f.temp)
	default:
		os.Remove(f.temp)
	}
}

// drop gives the file up.
func (f *newFile) drop() {
	f.Close()
	f.remove()
}

// tempName is the name of what is not whole yet.
func tempName() string { return fmt.Sprintf(".gm-%016x", rand.Uint64()) }
