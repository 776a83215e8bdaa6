package results

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Output is a buffered writer for many results, such as stdout. If it writes to
// a regular file, it knows the offsets of its bytes, so that a Joblog can record
// where the result of each record ends. It is for one goroutine at a time.
type Output struct {
	w    io.Writer
	file *os.File // nil: not a regular file
	at   int64    // offset in file of the buffer's first byte
	buf  []byte
	err  error // the first error
}

// maxBuffered is the maximum number of bytes in the buffer of an Output.
const maxBuffered = 64 << 10

// NewOutput returns an Output that writes to w. If w writes to a regular file,
// f is that file; otherwise f is ignored and may be nil.
func NewOutput(w io.Writer, f *os.File) (*Output, error) {
	o := &Output{w: w}
	if f == nil {
		return o, nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return o, nil
	}
	if o.at, err = f.Seek(0, io.SeekCurrent); err != nil {
		return nil, o.failed(err)
	}
	if appends(f) {
		o.at = info.Size()
	}
	o.file = f
	return o, nil
}

// Write buffers a copy of p. Flush passes it on.
func (o *Output) Write(p []byte) (int, error) {
	if len(o.buf)+len(p) > maxBuffered {
		if err := o.Flush(); err != nil {
			return 0, err
		}
		if len(p) >= maxBuffered {
			return len(p), o.write(p)
		}
	}
	o.buf = append(o.buf, p...)
	return len(p), nil
}

// WriteString is like Write.
func (o *Output) WriteString(text string) (int, error) {
	if len(o.buf)+len(text) > maxBuffered {
		return o.Write([]byte(text))
	}
	o.buf = append(o.buf, text...)
	return len(text), nil
}

// Flush writes the bytes in the buffer.
func (o *Output) Flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	err := o.write(o.buf)
	o.buf = o.buf[:0]
	return err
}

// Err returns the first error of writing, or of the operations on the file; nil
// if there was none.
func (o *Output) Err() error { return o.err }

func (o *Output) write(p []byte) error {
	n, err := o.w.Write(p)
	o.at += int64(n)
	if err != nil && o.err == nil {
		o.err = err
	}
	return err
}

// failed returns an error of an operation on the file.
func (o *Output) failed(err error) error {
	err = fmt.Errorf("write to stdout: %w", err)
	if o.err == nil {
		o.err = err
	}
	return err
}

// offset returns the offset of the next byte in the file, or -1 if there is no
// regular file.
func (o *Output) offset() int64 {
	if o.file == nil {
		return -1
	}
	return o.at + int64(len(o.buf))
}

// fileSize returns the size of the file.
func (o *Output) fileSize() (int64, error) {
	info, err := o.file.Stat()
	if err != nil {
		return 0, o.failed(err)
	}
	return info.Size(), nil
}

// rewind removes the bytes from offset on. It leaves them if another process has
// written to the file since.
func (o *Output) rewind(offset int64) error {
	if offset >= o.at {
		o.buf = o.buf[:offset-o.at]
		return nil
	}
	o.buf = o.buf[:0]
	size, err := o.fileSize()
	if err != nil || size != o.at {
		return err
	}
	return o.truncate(offset)
}

// moveEnd moves the bytes of the file from offset on to the end of the file at
// path, and returns their number. moved is false if they were only removed,
// because the system does not let a process read a file that it was given for
// writing. The buffer must be empty.
func (o *Output) moveEnd(offset int64, path string) (n int64, moved bool, err error) {
	size, err := o.fileSize()
	if err != nil {
		return 0, false, err
	}
	if n = size - offset; n == 0 {
		return 0, false, nil
	}
	if from, err := os.Open(fmt.Sprintf("/dev/fd/%d", o.file.Fd())); err == nil {
		defer from.Close()
		if err := appendFile(path, io.NewSectionReader(from, offset, n)); err != nil {
			return 0, false, fmt.Errorf("keep the end of stdout: %w", err)
		}
		moved = true
	}
	return n, moved, o.truncate(offset)
}

// appendFile appends the bytes of from to the file at path.
func appendFile(path string, from io.Reader) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func (o *Output) truncate(offset int64) error {
	if err := o.file.Truncate(offset); err != nil {
		return o.failed(err)
	}
	if _, err := o.file.Seek(offset, io.SeekStart); err != nil {
		return o.failed(err)
	}
	o.at = offset
	return nil
}
