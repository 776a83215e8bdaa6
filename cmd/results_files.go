package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"

	"gm/pkg/batch"
)

// fileSink writes the result of each record that completes to a file of its
// own (--out).
type fileSink struct {
	path    func(r *batch.Record) (string, error)
	current *newFile // of the record whose result is being written; nil before its first byte
}

func (s *fileSink) open(r *batch.Record) error {
	if s.current != nil {
		return nil
	}
	path, err := s.path(r)
	if err != nil {
		return err
	}
	s.current, err = createNew(path)
	return err
}

func (s *fileSink) data(r *batch.Record, b []byte) error {
	if err := s.open(r); err != nil {
		return err
	}
	return s.current.write(b)
}

func (s *fileSink) end(r *batch.Record, _ *outcome) error {
	if r.Err != nil {
		return s.close()
	}
	if err := s.open(r); err != nil {
		return err
	}
	f := s.current
	s.current = nil
	return f.commit()
}

func (s *fileSink) flush() error { return nil }

// close drops what is not whole.
func (s *fileSink) close() error {
	if s.current != nil {
		s.current.drop()
		s.current = nil
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
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	temp := filepath.Join(s.dir, tempName())
	if err := os.Mkdir(temp, 0o777); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	f, err := os.Create(filepath.Join(temp, "stdout"))
	if err != nil {
		os.RemoveAll(temp)
		return fmt.Errorf("write results: %w", err)
	}
	s.current, s.temp = f, temp
	return nil
}

func (s *dirSink) data(_ *batch.Record, b []byte) error {
	if err := s.open(); err != nil {
		return err
	}
	_, err := s.current.Write(b)
	return err
}

func (s *dirSink) end(r *batch.Record, o *outcome) error {
	if err := s.open(); err != nil {
		return err
	}
	err := s.finish(r, o)
	if err != nil {
		os.RemoveAll(s.temp)
		return fmt.Errorf("write results: %w", err)
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

// close drops what is not whole.
func (s *dirSink) close() error {
	if s.current != nil {
		s.current.Close()
		s.current = nil
		return os.RemoveAll(s.temp)
	}
	return nil
}

// newFile is a file that comes into being when it is whole: it is written
// beside its place, and renamed.
type newFile struct {
	*os.File
	path string // empty: what is written is in its place already
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
			return nil, fmt.Errorf("write result: %w", err)
		}
		return &newFile{File: f}, nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("write result: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, tempName()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("write result: %w", err)
	}
	return &newFile{f, path}, nil
}

func (f *newFile) write(b []byte) error {
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// commit puts the file in its place.
func (f *newFile) commit() error {
	err := f.Close()
	if f.path != "" {
		if err == nil {
			err = os.Rename(f.Name(), f.path)
		}
		if err != nil {
			os.Remove(f.Name())
		}
	}
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// drop gives the file up.
func (f *newFile) drop() {
	f.Close()
	if f.path != "" {
		os.Remove(f.Name())
	}
}

// tempName is the name of what is not whole yet.
func tempName() string { return fmt.Sprintf(".gm-%016x", rand.Uint64()) }
