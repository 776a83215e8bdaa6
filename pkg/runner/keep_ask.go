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
	// smallBuffer is the initial size of the buffer for answers. A larger buffer is
	// kept for the next job up to keptBuffer.
	smallBuffer = 8 << 10
	keptBuffer  = 1 << 20

	// smallPayload is the maximum size of a payload that is copied, and written
	// together with its framing.
	smallPayload = 32 << 10

	// checkEvery is the time between two checks of a child that does not answer.
	checkEvery = 5 * time.Second

	// writeGrace is the time after the answer in which the child must read the rest
	// of its payload.
	writeGrace = time.Second
)

var (
	errLate      = errors.New("late")
	errNoAnswer  = errors.New("the command ended without an answer")
	errClosed    = errors.New("the command closed its stdout without an answer")
	errTooMuch   = errors.New("the command wrote more than its answer")
	errTooEarly  = errors.New("the command answered before it had read the payload")
	errUnasked   = errors.New("the command wrote output without a job")
	errInsatiate = errors.New("the command has read the payload and waits for more, without an answer")
)

// bufferHint is the most frequent remedy for a command that does not answer.
const bufferHint = "it may hold its output in a buffer: fflush() in awk, mawk -W interactive, python -u, jq --unbuffered, sed -u, stdbuf -oL"

// ask gives the child a payload and passes its answers to take. After an error the
// child must not be used again. The error is io.EOF if the child has ended, errLate
// after the timeout, that of the context, or the broken rule.
func (c *kept) ask(ctx context.Context, payload []byte, take Take, began time.Time) error {
	if c.answered > 0 { // the first job also gets the stderr of the start
		c.tailMu.Lock()
		c.tail.b = c.tail.b[:0]
		c.tailMu.Unlock()
	}
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
		err = c.awaitQuiet()
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

// send writes a payload. If it does not fit into the pipe, a goroutine writes the rest
// and then closes written.
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
			c.refused = true // the read that follows finds the reason
			return nil
		case n == len(c.message):
			return nil
		}
		return c.sendBeside(c.message[max(n, 0):])
	}
}

// sendBeside writes in a goroutine, which ends with the child at the latest.
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

// awaitWritten waits until the payload is no longer used. An answer is valid only if
// the whole payload was written.
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
	c.in.stopWriting()
	<-written
	return err
}

// takeAnswers passes the answers of the child to take until the last one.
func (c *kept) takeAnswers(ctx context.Context, take Take, began time.Time) error {
	every := cmp.Or(c.keeper.checking, checkEvery)
	check, late := began.Add(every), time.Time{}
	if t := c.cmd.Timeout; t > 0 {
		late = began.Add(t)
	}
	if next := earlier(check, late); c.armed.Before(began) || c.armed.After(next) {
		c.arm(next)
	}
	for {
		answer, n, err := c.keeper.Framing.cutAnswer(c.buf[c.at:c.have], c.seen, c.keeper.maxAnswer())
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
		case !now.Before(check):
			check = now.Add(every)
			if err := c.checkStalled(); err != nil {
				return err
			}
		}
		c.arm(earlier(check, late))
	}
}

// earlier returns the earlier one of a and b. b may be zero.
func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// checkStalled checks a child that has not answered yet. It returns an error if no
// answer can follow.
func (c *kept) checkStalled() error {
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

// awaitQuiet returns an error if more output follows the first answer.
func (c *kept) awaitQuiet() error {
	switch err := c.rest(); {
	case errors.Is(err, errUnasked):
		return c.tooMuch()
	case !errors.Is(err, io.EOF): // the next job finds the end
		return err
	}
	return nil
}

// fill waits for output and reads it. The error is io.EOF or os.ErrDeadlineExceeded.
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

// poll reads output without waiting and reports whether there was any. The error is
// io.EOF.
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

// read reads from fd, stores the number of bytes in got, and reports whether there were
// bytes or the end.
func (c *kept) read(fd uintptr) bool {
	for {
		var err error
		c.got, err = syscall.Read(int(fd), c.buf[c.have:])
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}

// makeRoom makes room for more bytes in buf.
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

// unread returns the bytes that were read and not used.
func (c *kept) unread() []byte { return c.buf[c.at:c.have] }

func (c *kept) tooMuch() error { return fmt.Errorf("%w: %.40q follows", errTooMuch, c.unread()) }
