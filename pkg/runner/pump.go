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

	// drainLimit bounds what is still read from a pipe whose job is over: as much
	// as a pipe can hold by Linux' default pipe-max-size. A process that escaped
	// could write for ever.
	drainLimit = 1 << 20
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

var chunkPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// outPipe is our end of a pipe that a child writes to.
type outPipe struct {
	fd      int      // does not block
	file    *os.File // fd's, once a pump is to wait
	max     int      // what the buffer may grow to
	tooLong error    // what it means if the buffer is full and nothing can be cut; nil has it cut anyhow

	early []byte // what was read before there was a pump
	eof   bool   // and that was all

	ended   bool // the reader's: the job is over, only take what is there
	drained int
}

// open makes the pipe ready for a reader that waits.
func (p *outPipe) open() { p.file = os.NewFile(uintptr(p.fd), "pipe") }

func (p *outPipe) close() {
	if p.file != nil {
		_ = p.file.Close()
	} else {
		_ = syscall.Close(p.fd)
	}
}

// finish has the reader stop once it has taken what the pipe holds, even if some
// process still has the pipe's other end.
func (p *outPipe) finish() {
	if p.file != nil {
		_ = p.file.SetReadDeadline(past)
	}
}

// pump hands to c what comes out of the pipe, until its end or an error of c's,
// and closes it.
func (p *outPipe) pump(c cutter) error {
	defer p.close()
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
		taken, err := c.cut(buf[:n], false)
		if err != nil {
			return err
		}
		n = copy(buf, buf[taken:n])
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

// read waits for bytes until finish is called, and from then on takes only those
// that are there. Whatever ends the pipe is io.EOF.
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

// finish stops a writer that waits for a reader.
func (p *inPipe) finish() { _ = p.file.SetWriteDeadline(past) }

// pump writes b and closes the pipe. That a command does not read all of its
// input is its own affair, so there is no error to return.
func (p *inPipe) pump(b []byte) {
	_, _ = p.file.Write(b)
	_ = p.file.Close()
}
