package results

import (
	"os"

	"gm/pkg/batch"
)

// FilesOptions are the options of NewFiles.
type FilesOptions struct {
	// Template gives each record the path of its file.
	Template Template
	// Anywhere allows paths, and links, that lead out of the folder that
	// Template begins with.
	Anywhere bool
	// Label returns the label of a record for Template. It uses only Seq, Name
	// and Payload of the record.
	Label func(r *batch.Record) string
}

// NewFiles returns a Sink that writes the result of each record that completes
// to a file of its own. The file appears when it is complete, and replaces an
// earlier one. Pass the source of the records through NewNamedSource, so that a
// record without a valid path fails before it is sent.
func NewFiles(o FilesOptions) Sink {
	s := &fileWriter{FilesOptions: o}
	if !o.Anywhere {
		s.dir = o.Template.Dir()
	}
	return &deferredErrors{fileSink: s}
}

// fileWriter writes the result of each record to a file.
type fileWriter struct {
	FilesOptions
	dir     string   // folder that the files must be in; empty: any
	root    *os.Root // of dir, once there was a file
	current *newFile // of the record that is being written; nil before its first byte
}

// resultPath implements fileSink.
func (s *fileWriter) resultPath(r *batch.Record) (string, error) {
	return s.Template.Expand(s.Label(r), r.Seq)
}

// openFile creates the file of r, unless it is open.
func (s *fileWriter) openFile(r *batch.Record) error {
	if s.current != nil {
		return nil
	}
	path, err := s.resultPath(r)
	if err == nil {
		s.current, err = s.createFile(path)
	}
	if err != nil {
		return writeError(err)
	}
	return nil
}

func (s *fileWriter) createFile(path string) (*newFile, error) {
	if s.dir == "" {
		return createFile(path)
	}
	name, err := relativeTo(s.dir, path)
	if err != nil {
		return nil, err
	}
	if s.root == nil {
		if err := os.MkdirAll(s.dir, 0o777); err != nil {
			return nil, err
		}
		if s.root, err = os.OpenRoot(s.dir); err != nil {
			return nil, err
		}
	}
	return createFileIn(s.root, name)
}

// Data implements Sink.
func (s *fileWriter) Data(r *batch.Record, piece []byte) error {
	if err := s.openFile(r); err != nil {
		return err
	}
	if _, err := s.current.Write(piece); err != nil {
		return writeError(err)
	}
	return nil
}

// End implements Sink.
func (s *fileWriter) End(r *batch.Record, _ *Outcome) error {
	if r.Err != nil {
		s.abandon()
		return nil
	}
	if err := s.openFile(r); err != nil {
		return err
	}
	f := s.current
	s.current = nil
	if err := f.commit(); err != nil {
		return writeError(err)
	}
	return nil
}

// Flush implements Sink.
func (s *fileWriter) Flush() error { return nil }

// abandon implements fileSink.
func (s *fileWriter) abandon() {
	if s.current != nil {
		s.current.abandon()
		s.current = nil
	}
}

// Close implements Sink. It removes the file of a record that has not ended.
func (s *fileWriter) Close() error {
	s.abandon()
	if s.root != nil {
		return s.root.Close()
	}
	return nil
}
