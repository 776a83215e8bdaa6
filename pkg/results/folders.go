package results

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"gm/pkg/batch"
)

// NewFolders returns a Sink that writes each record to a folder of its own in
// dir, which must exist. The name of the folder is the sequence number of the
// record. The folder appears when the record has ended, and replaces one of an
// earlier run. It has four files:
//
//   - stdout: the result;
//   - stderr: the warnings and the exception of the worker;
//   - exit: the exit code of the record, see [Outcome.Code];
//   - name: the label of the record.
//
// A Recorder with this Sink should have KeepWarnings set.
func NewFolders(dir string, label func(r *batch.Record) string) Sink {
	return &deferredErrors{fileSink: &folderWriter{dir: dir, label: label}}
}

// folderWriter writes each record to a folder.
type folderWriter struct {
	dir     string
	label   func(r *batch.Record) string
	current *os.File // stdout of the record that is being written
	temp    string   // its folder, before it is complete
}

// resultPath implements fileSink.
func (s *folderWriter) resultPath(r *batch.Record) (string, error) {
	return filepath.Join(s.dir, strconv.Itoa(r.Seq), "stdout"), nil
}

// openFolder creates the folder of a record, unless it is open.
func (s *folderWriter) openFolder() error {
	if s.current != nil {
		return nil
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

// Data implements Sink.
func (s *folderWriter) Data(_ *batch.Record, piece []byte) error {
	if err := s.openFolder(); err != nil {
		return err
	}
	if _, err := s.current.Write(piece); err != nil {
		return writeError(err)
	}
	return nil
}

// End implements Sink.
func (s *folderWriter) End(r *batch.Record, o *Outcome) error {
	if err := s.openFolder(); err != nil {
		return err
	}
	if err := s.complete(r, o); err != nil {
		os.RemoveAll(s.temp)
		return writeError(err)
	}
	return nil
}

// complete writes the other files of a record, and gives the folder its name.
func (s *folderWriter) complete(r *batch.Record, o *Outcome) error {
	var text []byte
	for _, w := range o.Warnings {
		text = append(text, endLine([]byte(w))...)
	}
	text = append(text, endLine(o.Exception)...)
	err := s.current.Close()
	s.current = nil
	return errors.Join(err,
		os.WriteFile(filepath.Join(s.temp, "stderr"), text, 0o666),
		os.WriteFile(filepath.Join(s.temp, "exit"), fmt.Appendln(nil, o.Code()), 0o666),
		os.WriteFile(filepath.Join(s.temp, "name"), []byte(s.label(r)), 0o666),
		s.renameFolder(r.Seq),
	)
}

func (s *folderWriter) renameFolder(seq int) error {
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

// Flush implements Sink.
func (s *folderWriter) Flush() error { return nil }

// abandon implements fileSink.
func (s *folderWriter) abandon() {
	if s.current != nil {
		s.current.Close()
		s.current = nil
		os.RemoveAll(s.temp)
	}
}

// Close implements Sink. It removes the folder of a record that has not ended.
func (s *folderWriter) Close() error {
	s.abandon()
	return nil
}
