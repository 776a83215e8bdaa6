package cmd

import (
	"fmt"
	"io"
	"os"
)

// stdoutBuffer is stdout for many results. It writes in large pieces, and where
// stdout is a regular file it knows the offsets. Its errors are *outputError.
type stdoutBuffer struct {
	w    io.Writer
	file *os.File // stdout, if it is a regular file; else nil
	at   int64    // offset in file of the buffer's first byte
	buf  []byte
}

// bufferedOutput is how many bytes stdoutBuffer collects at most.
const bufferedOutput = 64 << 10

// bufferStdout returns a buffer for stdout.
func (e *env) bufferStdout() (*stdoutBuffer, error) {
	b := &stdoutBuffer{w: e.stdout}
	o, ok := e.stdout.(*output)
	if !ok {
		return b, nil
	}
	f, ok := o.Writer.(*os.File)
	if !ok {
		return b, nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return b, nil
	}
	if b.at, err = f.Seek(0, io.SeekCurrent); err != nil {
		return nil, &outputError{err}
	}
	if appends(f) {
		b.at = info.Size()
	}
	b.file = f
	return b, nil
}

// Write takes bytes; they are on their way after flush.
func (b *stdoutBuffer) Write(p []byte) (int, error) {
	if len(b.buf)+len(p) > bufferedOutput {
		if err := b.flush(); err != nil {
			return 0, err
		}
		if len(p) >= bufferedOutput {
			return len(p), b.write(p)
		}
	}
	b.buf = append(b.buf, p...)
	return len(p), nil
}

func (b *stdoutBuffer) flush() error {
	if len(b.buf) == 0 {
		return nil
	}
	err := b.write(b.buf)
	b.buf = b.buf[:0]
	return err
}

func (b *stdoutBuffer) write(p []byte) error {
	n, err := b.w.Write(p)
	b.at += int64(n)
	return err
}

// offset returns where in the file the next byte goes; -1 if stdout is none.
func (b *stdoutBuffer) offset() int64 {
	if b.file == nil {
		return -1
	}
	return b.at + int64(len(b.buf))
}

// cut takes back what stands from offset on. A file that ends before it is an
// error.
func (b *stdoutBuffer) cut(offset int64) error {
	if offset >= b.at && offset <= b.offset() {
		b.buf = b.buf[:offset-b.at]
		return nil
	}
	info, err := b.file.Stat()
	if err != nil {
		return &outputError{err}
	}
	if info.Size() < offset {
		return &outputError{fmt.Errorf("it has %d bytes and had %d: it was emptied or is another file", info.Size(), offset)}
	}
	b.buf = b.buf[:0]
	if err := b.file.Truncate(offset); err != nil {
		return &outputError{err}
	}
	if _, err := b.file.Seek(offset, io.SeekStart); err != nil {
		return &outputError{err}
	}
	b.at = offset
	return nil
}
