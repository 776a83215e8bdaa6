//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"context"
	"sync"
	"syscall"
	"time"
)

const (
	// The time between two checks of a group that still has members, doubled each time.
	firstCheck = time.Millisecond
	maxCheck   = 50 * time.Millisecond

	// giveUp is the time after SIGKILL when Run returns although the group has
	// members: they hang in the kernel, or process 1 does not reap them.
	giveUp = 2 * time.Second
)

// Run runs the command for one job. It returns when the child, its process group and,
// after Subreap, all of its other descendants have ended, and their output was passed
// on. When ctx is done or the timeout has passed, the group gets SIGTERM and, after
// KillAfter, SIGKILL. The same happens to the members of the group that are left when
// the child has ended on its own. Run uses nothing of job after its return.
//
// Run waits without limit only for a child that hangs in the kernel, so that SIGKILL
// cannot end it, and for calls of Stdout, Control and Stderr.
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
		r.runPumps(&job, func(f func()) { f() })
	} else {
		r.startPumps(&job)
		r.supervise(ctx, job.Kill, began)
		r.pipes.stopPumps()
		r.pumps.Wait()
	}
	return r.conclude()
}

// run is one Run in progress.
type run struct {
	cmd     *Command
	child   *child
	pipes   *pipes
	timeout time.Duration // of the whole run; 0 means no limit

	exited  chan struct{} // closed when the child has ended
	refused chan struct{} // closed when Stdout has returned an error
	pumps   sync.WaitGroup

	// Owned by the supervisor.
	stage      stage
	ladder     *time.Timer // ends the stage; nil if only the child's end does
	ended      bool        // the child has been reaped
	groupEmpty bool
	result     Result

	// Owned by the stdout pump until pumps is done.
	stdoutErr error

	// Owned by the stderr pump until pumps is done.
	tail tail
}

// stage is the progress of stopping a job.
type stage int

const (
	running    stage = iota
	terminated       // SIGTERM was sent
	killed           // SIGKILL was sent
)

// startPumps starts a goroutine that awaits the child's end and one for each pipe.
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
	r.runPumps(job, r.pumps.Go)
}

// runPumps gives call a function for each pipe that reads the child's output.
func (r *run) runPumps(job *Job, call func(func())) {
	if p := r.pipes.control; p != nil {
		p.max = controlLine
		emit := func(line []byte) error {
			if end := len(line) - 1; line[end] == '\n' {
				line = line[:end]
			}
			job.Control(string(line))
			return nil
		}
		call(func() { _ = p.pump(&lines{emit: emit}) })
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

// supervise waits until the job's processes have ended, and stops them if needed.
func (r *run) supervise(ctx context.Context, kill <-chan struct{}, began time.Time) {
	var timeout, check <-chan time.Time
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
	pause := firstCheck
	for {
		select {
		case <-exited:
			r.result.Duration = time.Since(began)
			r.child.reap()
			r.ended = true
			// From here on, the rest of the group and the strays are stopped.
			exited, timeout, cancelled, refused = nil, nil, nil, nil
			if r.signalLeftovers() {
				return
			}
			check = time.After(pause)
		case <-check:
			if r.signalLeftovers() {
				return
			}
			pause = min(2*pause, maxCheck)
			check = time.After(pause)

		case <-timeout:
			timeout = nil
			r.result.TimedOut = r.terminate()
		case <-cancelled:
			cancelled = nil
			if r.terminate() { // not if Kill has stopped the job already
				r.result.Cancelled = true
			}
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

// terminate begins to stop the job. It returns false if the child has ended or is
// already being stopped.
func (r *run) terminate() bool {
	if r.stage != running || r.hasExited() {
		return false
	}
	r.child.signal(syscall.SIGTERM)
	r.enter(terminated)
	return true
}

// kill sends SIGKILL to all processes of the job.
func (r *run) kill() {
	r.enter(killed)
	if !r.ended {
		r.child.signal(syscall.SIGKILL)
	} else {
		r.signalLeftovers() // if some are still alive, the next check finds them
	}
}

// signalLeftovers sends the signal of the stage to the processes that the child has
// left behind, and reports whether there are none.
func (r *run) signalLeftovers() bool {
	var toGroup, toStrays syscall.Signal = 0, syscall.SIGTERM
	switch r.stage {
	case running:
		toGroup = syscall.SIGTERM
	case killed:
		toGroup, toStrays = syscall.SIGKILL, syscall.SIGKILL
	}
	r.groupEmpty = r.groupEmpty || r.child.signalGroup(toGroup)
	if !r.child.strays(toStrays) && r.groupEmpty {
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

// enter begins a stage and sets its end. After SIGKILL to a living child there is no
// such end, because the child's end is awaited.
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

// conclude completes the result after the end of all processes and pumps.
func (r *run) conclude() Result {
	res, ch := &r.result, r.child
	ch.leaveGroup()
	if ch.leftovers || ch.zombies || !r.groupEmpty {
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
