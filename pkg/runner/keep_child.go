//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// closedOutput is the time in which a child must end after it has closed its stdout.
const closedOutput = 100 * time.Millisecond

// kept is a child that serves jobs.
type kept struct {
	run
	keeper *Keeper
	began  time.Time
	in     *inPipe
	out    *outPipe
	raw    syscall.RawConn // of out
	state  procState

	stop   context.CancelFunc // sends SIGTERM, later SIGKILL
	ending chan struct{}      // closed when the processes have ended
	done   chan struct{}      // closed when the result is complete

	interrupted atomic.Bool // the job's context is done, so reads must stop

	tailMu sync.Mutex // held for run.tail

	// Owned by the Keeper's goroutine.
	answered  int       // number of answered jobs
	weighed   time.Time // time of the last check of its memory
	watch     watch     // the way to see that it is at rest
	unsure    int       // number of times that it was not seen at rest
	untouched bool      // it has read nothing of its last payload
	refused   bool      // the payload could not be written
	stopped   bool      // the Keeper has stopped it
	spent     bool      // its output must not be read again
	armed     time.Time // read deadline of out
	message   []byte    // a small payload with its framing
	buf       []byte    // the bytes that were read; buf[at:have] is not used yet
	at, have  int
	seen      int                   // number of bytes from at without the end of an answer
	readOnce  func(fd uintptr) bool // the method read, bound once
	got       int                   // result of the last read
}

// start starts a child. Its stop function stops it, and its own goroutine awaits its
// end and then closes done.
func (k *Keeper) start() (*kept, error) {
	ch, pipes, err := k.Command.start(k.Env, plan{keepStdin: true, stdout: true, stderr: true})
	if err != nil {
		return nil, err
	}
	pipes.stdout.open()
	pipes.stderr.open()
	raw, err := pipes.stdout.file.SyscallConn()
	if err != nil {
		panic(err) // only a closed file has an error
	}
	c := &kept{
		run: run{
			cmd: k.Command, child: ch, pipes: pipes,
			exited: make(chan struct{}),
			tail:   tail{max: k.Command.stderrTail()},
		},
		keeper: k,
		began:  time.Now(),
		in:     pipes.stdin,
		out:    pipes.stdout,
		raw:    raw,
		state:  openState(ch.pid),
		ending: make(chan struct{}),
		done:   make(chan struct{}),
		buf:    make([]byte, smallBuffer),
	}
	if c.state.known() {
		c.watch = watchUnsure
	}
	c.readOnce = c.read
	life, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.pumps.Go(func() {
		ch.await()
		close(c.exited)
	})
	pipes.stderr.max = stderrBatch
	c.pumps.Go(func() { _ = pipes.stderr.pump(batches(c.takeStderr)) })
	go c.live(life)
	k.log().Debug("kept command started", "pid", ch.pid)
	return c, nil
}

// live supervises the child until its end.
func (c *kept) live(life context.Context) {
	defer c.stop()
	c.supervise(life, c.keeper.Kill, c.began)
	close(c.ending)
	c.pipes.stopPumps()
	c.pumps.Wait()
	c.tailMu.Lock() // the next job may already begin, and find that the child has ended
	c.result = c.conclude()
	c.tailMu.Unlock()
	close(c.done)
}

func (c *kept) takeStderr(b []byte) error {
	c.tailMu.Lock()
	defer c.tailMu.Unlock()
	return c.run.takeStderr(b)
}

// leave closes the child's stdin so that it ends, and discards its output. It stops a
// child that does not end within Command.KillAfter.
func (c *kept) leave() {
	_ = c.in.file.Close()
	defer time.AfterFunc(c.cmd.killAfter(), c.stop).Stop()
	c.arm(time.Time{})
	_, _ = io.Copy(io.Discard, c.out.file)
	<-c.done
	c.closePipes()
}

// end waits for the end of a child that has closed its stdout or was stopped.
func (c *kept) end() Result {
	t := time.NewTimer(closedOutput)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
		c.stopped = true
		c.stop()
		<-c.done
	}
	c.closePipes()
	return c.result
}

// fail ends a child whose job has failed with err, and returns the result of that
// job.
func (c *kept) fail(ctx context.Context, err error) Result {
	if !errors.Is(err, io.EOF) {
		c.stopped = true
		c.stop()
	}
	res := c.end()
	res.Cancelled = res.Cancelled && !c.stopped
	switch {
	case errors.Is(err, errLate):
		res.TimedOut, res.timeout = true, c.cmd.Timeout
	case ctx.Err() != nil:
		res.Cancelled = true
	case !errors.Is(err, io.EOF):
		res.AnswerErr = err
	case c.stopped:
		res.AnswerErr = c.describe(errClosed)
	case res.Code() == 0:
		res.AnswerErr = c.describe(errNoAnswer)
	}
	return res
}

// describe adds the output that is not an answer to err.
func (c *kept) describe(err error) error {
	if c.have == c.at {
		return err
	}
	return fmt.Errorf("%w, after %.40q", err, c.buf[c.at:c.have])
}

// closePipes closes the pipes after the end of the child.
func (c *kept) closePipes() {
	_ = c.in.file.Close()
	_ = c.out.file.Close()
	c.state.closeFD()
}

// arm sets the deadline of reads.
func (c *kept) arm(t time.Time) {
	_ = c.out.file.SetReadDeadline(t)
	c.armed = t
	if c.interrupted.Load() || c.isEnding() {
		_ = c.out.file.SetReadDeadline(past)
	}
}

func (c *kept) isEnding() bool {
	select {
	case <-c.ending:
		return true
	default:
		return false
	}
}
