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

// closedOutput is how long a child may outlive its stdout.
const closedOutput = 100 * time.Millisecond

// kept is a child that serves jobs.
type kept struct {
	run
	keeper *Keeper
	began  time.Time
	in     *inPipe
	out    *outPipe
	raw    syscall.RawConn // out's
	state  procState

	stop   context.CancelFunc // sends SIGTERM, later SIGKILL
	ending chan struct{}      // closed when the processes are gone
	gone   chan struct{}      // closed when result is there

	interrupted atomic.Bool // the job's context is done: read no more

	tailMu sync.Mutex // held for run.tail

	// Of the Keeper's goroutine.
	answered  int       // jobs
	weighed   time.Time // when its memory was last looked at
	watch     watch     // how to see that it is at rest
	unsure    int       // how often that was not seen
	untouched bool      // it has not read of its last payload
	refused   bool      // nor could it be written
	stopped   bool      // by us
	spent     bool      // it must not be read any more
	armed     time.Time // out's read deadline
	message   []byte    // a small payload with what is around it
	buf       []byte    // what was read: buf[at:have] is not taken yet
	at, have  int
	seen      int                   // bytes from at on that are known to hold no end
	readOnce  func(fd uintptr) bool // read, made once
	got       int                   // what it has read
}

// start starts a child. It is stopped by stop, and seen off by its own
// goroutine, which closes gone.
func (k *Keeper) start() (*kept, error) {
	ch, pipes, err := k.Command.start(k.Env, plan{keepStdin: true, stdout: true, stderr: true})
	if err != nil {
		return nil, err
	}
	pipes.stdout.open()
	pipes.stderr.open()
	raw, err := pipes.stdout.file.SyscallConn()
	if err != nil {
		panic(err) // it is for files that are closed only
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
		gone:   make(chan struct{}),
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

// live sees to the child's end.
func (c *kept) live(life context.Context) {
	defer c.stop()
	c.supervise(life, c.keeper.Kill, c.began)
	close(c.ending)
	c.pipes.finish()
	c.pumps.Wait()
	c.tailMu.Lock() // a job may begin meanwhile, and find the child gone
	c.result = c.conclude()
	c.tailMu.Unlock()
	close(c.gone)
}

func (c *kept) takeStderr(b []byte) error {
	c.tailMu.Lock()
	defer c.tailMu.Unlock()
	return c.run.takeStderr(b)
}

// leave has the child end: nothing more comes on its stdin. What it still writes
// is nobody's. If it stays, it is stopped.
func (c *kept) leave() {
	_ = c.in.file.Close()
	defer time.AfterFunc(c.cmd.killAfter(), c.stop).Stop()
	c.arm(time.Time{})
	_, _ = io.Copy(io.Discard, c.out.file)
	<-c.gone
	c.close()
}

// end waits for the end of a child that has closed its stdout, or was stopped.
func (c *kept) end() Result {
	t := time.NewTimer(closedOutput)
	defer t.Stop()
	select {
	case <-c.gone:
	case <-t.C:
		c.stopped = true
		c.stop()
		<-c.gone
	}
	c.close()
	return c.result
}

// fail makes an end of a child whose job has failed with err, and tells how that
// job has ended.
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

// describe adds to err what the child has written instead of an answer.
func (c *kept) describe(err error) error {
	if c.have == c.at {
		return err
	}
	return fmt.Errorf("%w, after %.40q", err, c.buf[c.at:c.have])
}

// close closes our ends once the child is gone.
func (c *kept) close() {
	_ = c.in.file.Close()
	_ = c.out.file.Close()
	c.state.close()
}

// arm sets the time until which is read.
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
