//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	chunkSize   = 64 << 10
	controlLine = 64 << 10
	stderrBatch = 32 << 10

	// drainLimit is the maximum number of bytes that are read from a pipe after its
	// job has ended: the default of pipe-max-size on Linux. An escaped process could
	// write without end.
	drainLimit = 1 << 20
)

// past is a deadline that has passed.
var past = time.Unix(1, 0)

var chunkPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// outPipe is our end of a pipe that a child writes to.
type outPipe struct {
	fd      int      // does not block
	file    *os.File // the file of fd, set by open
	max     int      // maximum size of the buffer
	tooLong error    // returned if the buffer is full and has nothing to cut; nil cuts it anyway

	early []byte // bytes that were read before the pump started
	eof   bool   // early is the whole output

	ended   bool // the job has ended: read only the bytes in the pipe; owned by the reader
	drained int
}

// open prepares the pipe for a reader that waits.
func (p *outPipe) open() { p.file = os.NewFile(uintptr(p.fd), "pipe") }

func (p *outPipe) closeRead() {
	if p.file != nil {
		_ = p.file.Close()
	} else {
		_ = syscall.Close(p.fd)
	}
}

// stopReading makes the reader stop after the bytes in the pipe, even if a process
// still has the other end.
func (p *outPipe) stopReading() {
	if p.file != nil {
		_ = p.file.SetReadDeadline(past)
	}
}

// pump passes the bytes of the pipe to c until the end of the pipe or an error of c,
// and closes the pipe.
func (p *outPipe) pump(c cutter) error {
	defer p.closeRead()
	pooled := chunkPool.Get().(*[chunkSize]byte)
	defer chunkPool.Put(pooled)
	buf, n := pooled[:min(chunkSize, p.max)], 0
	for {
		m, err := p.read(buf[n:])
		n += m
		if err != nil {
			if n > 0 {
				_, err := c.cut(buf[:n], true)
				return err
			}
			return nil
		}
		used, err := c.cut(buf[:n], false)
		if err != nil {
			return err
		}
		n = copy(buf, buf[used:n])
		switch {
		case n < len(buf):
		case len(buf) < p.max:
			buf = append(make([]byte, 0, min(2*len(buf), p.max)), buf...)
			buf = buf[:cap(buf)]
		case p.tooLong != nil:
			return p.tooLong
		default:
			if _, err := c.cut(buf, true); err != nil {
				return err
			}
			n = 0
		}
	}
}

// read waits for bytes until stopReading is called. After that it reads only the bytes
// in the pipe. Every end of the pipe is io.EOF.
func (p *outPipe) read(b []byte) (int, error) {
	switch {
	case len(p.early) > 0:
		n := copy(b, p.early)
		p.early = p.early[n:]
		return n, nil
	case p.eof:
		return 0, io.EOF
	}
	if !p.ended {
		n, err := p.file.Read(b)
		if n > 0 {
			return n, nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, io.EOF
		}
		p.ended = true
		_ = p.file.SetReadDeadline(time.Time{})
	}
	if p.drained >= drainLimit {
		return 0, io.EOF
	}
	n := p.readNow(b)
	if n <= 0 {
		return 0, io.EOF
	}
	p.drained += n
	return n, nil
}

// readNow reads without waiting.
func (p *outPipe) readNow(b []byte) (n int) {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return 0
	}
	_ = conn.Read(func(fd uintptr) bool {
		for {
			n, err = syscall.Read(int(fd), b)
			if err != syscall.EINTR {
				return true
			}
		}
	})
	return n
}

// inPipe is our end of a pipe that a child reads from.
type inPipe struct {
	file *os.File
	fd   int // file's, which does not block
}

// stopWriting stops a writer that waits for a reader.
func (p *inPipe) stopWriting() { _ = p.file.SetWriteDeadline(past) }

// pump writes b and closes the pipe. It returns no error, because a command need not
// read all of its input.
func (p *inPipe) pump(b []byte) {
	_, _ = p.file.Write(b)
	_ = p.file.Close()
}
