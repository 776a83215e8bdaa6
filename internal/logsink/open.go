package logsink

import (
	"io"
	"io/fs"
	"os"
)

// OpenFile opens a file for writing, as [os.OpenFile] does. It opens a FIFO at once, for
// reading too: opening it only for writing would wait for a reader.
func OpenFile(path string, flags int, perm fs.FileMode) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		flags = flags&^os.O_WRONLY | os.O_RDWR
	}
	return os.OpenFile(path, flags, perm)
}

// OpenWriter opens a file for lines as OpenFile does. A write does not wait for the
// reader of a FIFO or a terminal: it goes through a Sink with the given lostLine.
func OpenWriter(path string, flags int, perm fs.FileMode, lostLine func(n uint64) []byte) (io.WriteCloser, error) {
	f, err := OpenFile(path, flags, perm)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.Mode().IsRegular() {
		return f, nil
	}
	return &fileSink{New(f, lostLine), f}, nil
}

// fileSink is a Sink and the file that it writes to.
type fileSink struct {
	*Sink
	file *os.File
}

// Close writes the pending lines as [Sink.Close] does, and closes the file.
func (s *fileSink) Close() error {
	s.Sink.Close()
	return s.file.Close()
}
