//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// smallBuffer is what a child's answers are read into at first. A larger one
	// that an answer has needed is kept up to keptBuffer.
	smallBuffer = 8 << 10
	keptBuffer  = 1 << 20

	// smallPayload is the size up to which a payload is copied, to be written at
	// once with what is around it.
	smallPayload = 32 << 10

	// lookEvery is how often a child that does not answer is looked at.
	lookEvery = 5 * time.Second

	// writeGrace is how long after the answer the child may take to read the rest
	// of its payload.
	writeGrace = time.Second
)

var (
	errLate      = errors.New("late")
	errNoAnswer  = errors.New("the command ended without an answer")
	errClosed    = errors.New("the command closed its stdout without an answer")
	errTooMuch   = errors.New("the command wrote more than its answer")
	errTooEarly  = errors.New("the command answered before it had read the payload")
	errUnasked   = errors.New("the command wrote what no job had asked for")
	errInsatiate = errors.New("the command has read the payload and waits for more, without an answer")
)

// bufferHint is what helps most often when a command does not answer.
const bufferHint = "it may hold its output in a buffer: fflush() in awk, mawk -W interactive, python -u, jq --unbuffered, sed -u, stdbuf -oL"

// ask gives the child a payload and hands on its answers. Its error is io.EOF if
// the child has ended, errLate, the context's, or tells what rule was broken; the
// child is of no more use then.
func (c *kept) ask(ctx context.Context, payload []byte, take Take, began time.Time) error {
	c.tailMu.Lock()
	c.tail.b = c.tail.b[:0]
	c.tailMu.Unlock()
	unhook := context.AfterFunc(ctx, c.interrupt)
	written := c.send(payload)
	err := c.takeAnswers(ctx, take, began)
	switch {
	case err != nil:
		c.untouched = written == nil && (c.refused || unreadBytes(c.in.fd) == len(c.message))
	case c.have > c.at:
		err = c.tooMuch()
	case c.watch < watchOne && written == nil && unreadBytes(c.in.fd) > 0:
		err = errTooEarly
	case c.answered == 0:
		err = c.settle()
	}
	if written != nil {
		err = c.awaitWritten(written, err)
	}
	c.spent = !unhook()
	if cap(c.buf) > keptBuffer {
		c.buf, c.at, c.have = make([]byte, smallBuffer), 0, 0
	}
	return err
}

// interrupt ends a read.
func (c *kept) interrupt() {
	c.interrupted.Store(true)
	_ = c.out.file.SetReadDeadline(past)
}

// send writes a payload. If the pipe has no room for all of it, the rest is
// written beside the reading, until written is closed.
func (c *kept) send(payload []byte) (written <-chan struct{}) {
	before, after := c.keeper.Framing.around(payload)
	if len(payload) > smallPayload {
		return c.sendBeside([]byte(before), payload, []byte(after))
	}
	c.message = append(append(append(c.message[:0], before...), payload...), after...)
	for {
		n, err := syscall.Write(c.in.fd, c.message)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil && err != syscall.EAGAIN:
			c.refused = true // reading will tell what has become of the child
			return nil
		case n == len(c.message):
			return nil
		}
		return c.sendBeside(c.message[max(n, 0):])
	}
}

// sendBeside writes in a goroutine, which ends at the latest with the child.
func (c *kept) sendBeside(parts ...[]byte) <-chan struct{} {
	written := make(chan struct{})
	go func() {
		defer close(written)
		for _, part := range parts {
			if _, err := c.in.file.Write(part); err != nil {
				return
			}
		}
	}()
	return written
}

// awaitWritten waits until the payload is not needed any more. An answer does
// not count before it was all written.
func (c *kept) awaitWritten(written <-chan struct{}, err error) error {
	if err == nil {
		t := time.NewTimer(writeGrace)
		defer t.Stop()
		select {
		case <-written:
			return nil
		case <-t.C:
			err = errTooEarly
		}
	}
	if !errors.Is(err, io.EOF) {
		c.stopped = true
		c.stop()
	}
	c.in.finish()
	<-written
	return err
}

// takeAnswers hands on what the child writes, until take has had its last.
func (c *kept) takeAnswers(ctx context.Context, take Take, began time.Time) error {
	every := cmp.Or(c.keeper.looking, lookEvery)
	look, late := began.Add(every), time.Time{}
	if t := c.cmd.Timeout; t > 0 {
		late = began.Add(t)
	}
	if next := earlier(look, late); c.armed.Before(began) || c.armed.After(next) {
		c.arm(next)
	}
	for {
		answer, n, err := c.keeper.Framing.cut(c.buf[c.at:c.have], c.seen, c.keeper.maxAnswer())
		if err != nil {
			return err
		}
		if n > 0 {
			c.at += n
			c.seen = 0
			if last, err := take(answer); last || err != nil {
				return err
			}
			continue
		}
		c.seen = c.have - c.at
		err = c.fill()
		if err == nil {
			continue
		}
		now := time.Now()
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !late.IsZero() && !now.Before(late):
			return errLate
		case !now.Before(look):
			look = now.Add(every)
			if err := c.look(); err != nil {
				return err
			}
		}
		c.arm(earlier(look, late))
	}
}

// earlier returns the earlier of a and b, of which the latter may be zero.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// look looks at a child that takes its time. Its error is that no answer can
// come any more.
func (c *kept) look() error {
	if unreadBytes(c.in.fd) == 0 && c.state.tree() == atRest {
		if pending, err := c.poll(); pending || err != nil {
			return err
		}
		if c.answered == 0 {
			return fmt.Errorf("%w: %s", c.describe(errInsatiate), bufferHint)
		}
		return c.describe(errInsatiate)
	}
	if c.answered == 0 && !c.keeper.hinted {
		c.keeper.hinted = true
		c.keeper.log().Warn("kept command has not answered yet", "pid", c.child.pid, "hint", bufferHint)
	}
	return nil
}

// settle waits whether something follows the first answer.
func (c *kept) settle() error {
	switch err := c.rest(); {
	case errors.Is(err, errUnasked):
		return c.tooMuch()
	case !errors.Is(err, io.EOF): // else the next job will see it
		return err
	}
	return nil
}

// fill waits for output and takes it. Its error is io.EOF or
// os.ErrDeadlineExceeded.
func (c *kept) fill() error {
	c.makeRoom()
	err := c.raw.Read(c.readOnce)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && c.isEnding():
		if pending, _ := c.poll(); pending {
			return nil
		}
		return io.EOF
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case err != nil, c.got <= 0:
		return io.EOF
	}
	c.have += c.got
	return nil
}

// poll takes output without waiting and reports whether there was any. Its error
// is io.EOF.
func (c *kept) poll() (bool, error) {
	c.makeRoom()
	switch {
	case !c.read(uintptr(c.out.fd)):
		return false, nil
	case c.got <= 0:
		return false, io.EOF
	}
	c.have += c.got
	return true, nil
}

// read reads into got and reports whether there was something to read, be it the
// end.
func (c *kept) read(fd uintptr) bool {
	for {
		var err error
		c.got, err = syscall.Read(int(fd), c.buf[c.have:])
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}

// makeRoom sees to it that buf has room for more.
func (c *kept) makeRoom() {
	switch {
	case c.at == c.have:
		c.at, c.have = 0, 0
	case c.have < len(c.buf):
	case c.at > 0:
		c.have = copy(c.buf, c.buf[c.at:c.have])
		c.at = 0
	default:
		most := c.keeper.maxAnswer() + maxLengthDigits + 2
		size := min(max(2*len(c.buf), c.keeper.Framing.want(c.buf)), most+1)
		c.buf = append(make([]byte, 0, size), c.buf...)[:size]
	}
}

// unread returns what was read and not taken.
func (c *kept) unread() []byte { return c.buf[c.at:c.have] }

func (c *kept) tooMuch() error { return fmt.Errorf("%w: %.40q follows", errTooMuch, c.unread()) }
