package cmd

import (
	"errors"
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

// size returns how long the file is.
func (b *stdoutBuffer) size() (int64, error) {
	info, err := b.file.Stat()
	if err != nil {
		return 0, &outputError{err}
	}
	return info.Size(), nil
}

// takeBack takes back what was written from offset on. If others have written to
// the file since, it stays.
func (b *stdoutBuffer) takeBack(offset int64) error {
	if offset >= b.at {
		b.buf = b.buf[:offset-b.at]
		return nil
	}
	b.buf = b.buf[:0]
	size, err := b.size()
	if err != nil || size != b.at {
		return err
	}
	return b.truncate(offset)
}

// cut takes what stands in the file from offset on to the end of the file
// spare, and returns how much that is and whether it is there: a system may not
// let gm read what it was given for writing. Nothing is buffered yet.
func (b *stdoutBuffer) cut(offset int64, spare string) (n int64, kept bool, err error) {
	size, err := b.size()
	if err != nil {
		return 0, false, err
	}
	if n = size - offset; n == 0 {
		return 0, false, nil
	}
	if from, err := os.Open(fmt.Sprintf("/dev/fd/%d", b.file.Fd())); err == nil {
		defer from.Close()
		if err := appendTo(spare, io.NewSectionReader(from, offset, n)); err != nil {
			return 0, false, exitWith(exitIO, fmt.Errorf("keep the end of stdout: %w", err))
		}
		kept = true
	}
	return n, kept, b.truncate(offset)
}

// appendTo appends what from gives to the file at path.
func appendTo(path string, from io.Reader) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

func (b *stdoutBuffer) truncate(offset int64) error {
	if err := b.file.Truncate(offset); err != nil {
		return &outputError{err}
	}
	if _, err := b.file.Seek(offset, io.SeekStart); err != nil {
		return &outputError{err}
	}
	b.at = offset
	return nil
}
