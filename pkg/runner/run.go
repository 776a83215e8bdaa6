//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"context"
	"sync"
	"syscall"
	"time"
)

const (
	// How often a group that is not gone yet is looked at.
	firstLook = time.Millisecond
	maxLook   = 50 * time.Millisecond

	// giveUp is how long a group may outlive SIGKILL before Run returns without
	// it: its members hang in the kernel, or process 1 does not reap them.
	giveUp = 2 * time.Second
)

// Run runs the command for one job. It returns when the child, its process group
// and, after Subreap, all of its other descendants are gone and what they wrote
// has been handed on. When ctx is done, or the time is up, the group gets SIGTERM
// and, KillAfter later, SIGKILL. So does what is left of it when the child has
// ended by itself. Nothing of job is used or called after Run's return.
//
// Run waits without limit for two things only: a child that SIGKILL cannot end
// since it hangs in the kernel, and calls of Stdout, Control and Stderr.
func (c *Command) Run(ctx context.Context, job Job) Result {
	if ctx.Err() != nil {
		return Result{Cancelled: true}
	}
	keep := c.stderrTail()
	began := time.Now()
	ch, pipes, err := c.start(job.Env, plan{
		stdin:   job.Stdin,
		stdout:  job.Stdout != nil,
		stderr:  c.Stderr != nil || keep > 0,
		control: job.Control != nil,
		pidfd:   true,
	})
	if err != nil {
		return Result{StartErr: err}
	}
	r := &run{
		cmd:     c,
		child:   ch,
		pipes:   pipes,
		exited:  make(chan struct{}),
		refused: make(chan struct{}),
		timeout: c.Timeout,
		tail:    tail{max: keep},
	}
	if r.quick() {
		r.supervise(ctx, job.Kill, began)
		r.pump(&job, func(f func()) { f() })
	} else {
		r.startPumps(&job)
		r.supervise(ctx, job.Kill, began)
		r.pipes.finish()
		r.pumps.Wait()
	}
	return r.conclude()
}

// run is one Run in progress.
type run struct {
	cmd     *Command
	child   *child
	pipes   *pipes
	timeout time.Duration // for all of it; 0 is none

	exited  chan struct{} // closed when the child has ended
	refused chan struct{} // closed when Stdout would have no more
	pumps   sync.WaitGroup

	// The supervisor's.
	stage     stage
	ladder    *time.Timer // ends the stage; nil if nothing but the child's end does
	ended     bool        // the child has been reaped
	groupGone bool
	result    Result

	// The stdout pump's, until pumps is done.
	stdoutErr error

	// The stderr pump's, until pumps is done.
	tail tail
}

// stage is how far the stopping of a job has come.
type stage int

const (
	running    stage = iota
	terminated       // SIGTERM was sent
	killed           // SIGKILL was sent
)

// startPumps starts a goroutine for the child's end and one for each pipe.
func (r *run) startPumps(job *Job) {
	r.pumps.Go(func() {
		r.child.await()
		close(r.exited)
	})
	if p := r.pipes.stdin; p != nil {
		r.pumps.Go(func() { p.pump(r.pipes.rest) })
	}
	for _, p := range r.pipes.outs() {
		if !p.eof {
			p.open()
		}
	}
	r.pump(job, r.pumps.Go)
}

// pump has call run what takes the child's output, each pipe on its own.
func (r *run) pump(job *Job, call func(func())) {
	if p := r.pipes.control; p != nil {
		p.max = controlLine
		take := func(line []byte) error {
			if end := len(line) - 1; line[end] == '\n' {
				line = line[:end]
			}
			job.Control(string(line))
			return nil
		}
		call(func() { _ = p.pump(&lines{emit: take}) })
	}
	if p := r.pipes.stdout; p != nil {
		c := cutter(chunks(job.Stdout))
		if r.cmd.Lines {
			c = &lines{emit: job.Stdout}
			p.tooLong = ErrLineTooLong
			p.max = defaultMaxLine
			if r.cmd.MaxLine > 0 {
				p.max = r.cmd.MaxLine
			}
		}
		call(func() {
			if r.stdoutErr = p.pump(c); r.stdoutErr != nil {
				close(r.refused)
			}
		})
	}
	if p := r.pipes.stderr; p != nil {
		p.max = stderrBatch
		call(func() { _ = p.pump(batches(r.takeStderr)) })
	}
}

func (r *run) takeStderr(b []byte) error {
	if r.tail.max > 0 {
		r.tail.write(b)
	}
	if w := r.cmd.Stderr; w != nil {
		r.cmd.stderrMu.Lock()
		defer r.cmd.stderrMu.Unlock()
		_, _ = w.Write(b)
	}
	return nil
}

// supervise returns when the job's processes are gone.
func (r *run) supervise(ctx context.Context, kill <-chan struct{}, began time.Time) {
	var timeout, look <-chan time.Time
	if r.timeout > 0 {
		t := time.NewTimer(r.timeout)
		defer t.Stop()
		timeout = t.C
	}
	defer func() {
		if r.ladder != nil {
			r.ladder.Stop()
		}
	}()
	cancelled, refused, exited := ctx.Done(), r.refused, r.exited
	pause := firstLook
	for {
		select {
		case <-exited:
			r.result.Duration = time.Since(began)
			r.child.reap()
			r.ended = true
			// From here on it is about what the child has left behind.
			exited, timeout, cancelled, refused = nil, nil, nil, nil
			if r.gone() {
				return
			}
			look = time.After(pause)
		case <-look:
			if r.gone() {
				return
			}
			pause = min(2*pause, maxLook)
			look = time.After(pause)

		case <-timeout:
			timeout = nil
			r.result.TimedOut = r.terminate()
		case <-cancelled:
			cancelled = nil
			r.result.Cancelled = r.terminate()
		case <-refused:
			refused = nil
			r.terminate()
		case <-kill:
			kill = nil
			if r.terminate() {
				r.result.Cancelled = true
			}
			r.kill()
		case <-r.ladderC():
			if r.stage == killed {
				return
			}
			r.kill()
		}
	}
}

// terminate begins the stopping of a job and reports whether it was this call
// that did: not if the child has ended or was to be stopped already.
func (r *run) terminate() bool {
	if r.stage != running || r.hasExited() {
		return false
	}
	r.child.signal(syscall.SIGTERM)
	r.enter(terminated)
	return true
}

// kill makes an end of whatever lives.
func (r *run) kill() {
	r.enter(killed)
	if !r.ended {
		r.child.signal(syscall.SIGKILL)
	} else {
		r.gone() // or not yet: the next look will tell
	}
}

// gone sends what the stage asks for to what the child has left behind, and
// reports whether there is nothing any more.
func (r *run) gone() bool {
	var toGroup, toStrays syscall.Signal = 0, syscall.SIGTERM
	switch r.stage {
	case running:
		toGroup = syscall.SIGTERM
	case killed:
		toGroup, toStrays = syscall.SIGKILL, syscall.SIGKILL
	}
	r.groupGone = r.groupGone || r.child.groupGone(toGroup)
	if !r.child.strays(toStrays) && r.groupGone {
		return true
	}
	switch {
	case r.stage == running:
		r.enter(terminated)
	case r.stage == killed && r.ladder == nil:
		r.enter(killed)
	}
	return false
}

// enter notes the stage and sets the time at which it ends. SIGKILL to a living
// child has no such time: its end is awaited.
func (r *run) enter(s stage) {
	if r.ladder != nil {
		r.ladder.Stop()
		r.ladder = nil
	}
	r.stage = s
	switch {
	case s == terminated:
		r.ladder = time.NewTimer(r.cmd.killAfter())
	case r.ended:
		r.ladder = time.NewTimer(giveUp)
	}
}

func (r *run) ladderC() <-chan time.Time {
	if r.ladder == nil {
		return nil
	}
	return r.ladder.C
}

func (r *run) hasExited() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// conclude fills in the result once nothing runs any more.
func (r *run) conclude() Result {
	res, ch := &r.result, r.child
	ch.leaveGroup()
	if ch.leftovers || ch.zombies || !r.groupGone {
		startReaper()
	}
	res.timeout = r.timeout
	if ch.status.Signaled() {
		res.Signal = ch.status.Signal()
	} else {
		res.ExitCode = ch.status.ExitStatus()
	}
	if !res.TimedOut && !res.Cancelled {
		res.StdoutErr = r.stdoutErr
	}
	res.Stderr = r.tail.bytes()
	res.UserTime = time.Duration(ch.usage.Utime.Nano())
	res.SystemTime = time.Duration(ch.usage.Stime.Nano())
	res.MaxRSS = ch.maxRSS()
	return *res
}
