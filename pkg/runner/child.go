//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"os"
	"sync"
	"syscall"
)

// child is a process that was started as the leader of a group of its own. Its
// signals and its reaping are the business of one goroutine, so that no signal
// goes to a number that has come to mean another process.
type child struct {
	pid    int // also the group's number
	marker string
	pidfd  int // readable once it has ended; less than 0 if there is none

	status syscall.WaitStatus // once reaped
	usage  syscall.Rusage

	member int          // one of the group that was seen alive after the child's end
	doubts int          // looks that left open whether there are strays
	hinted map[int]bool // strays that were sent a signal

	// leftovers is set if there were orphans at the last look, and zombies if there
	// were members of the group that were not ours to reap.
	leftovers, zombies bool

	place *uint32 // of the group in the guard's table; nil: none
}

// pipes are our ends of a child's pipes; those that are not needed are nil.
type pipes struct {
	stdin   *inPipe
	rest    []byte // what the stdin pipe had no room for yet
	stdout  *outPipe
	stderr  *outPipe
	control *outPipe
}

// plan says which pipes a child is to have.
type plan struct {
	stdin                   []byte
	keepStdin               bool // leaves the pipe open, whatever stdin is
	pidfd                   bool // the child is to have one, if the system has them
	stdout, stderr, control bool
}

// start starts the command as a child with those pipes. Of an error nothing is
// left behind.
func (c *Command) start(jobEnv []string, want plan) (*child, *pipes, error) {
	path, argv, err := c.argv()
	if err != nil {
		return nil, nil, err
	}
	var own []string
	if want.control {
		own = append(own, controlVar+"=3")
	}
	ch := &child{marker: newMarker(), pidfd: -1}
	if ch.marker != "" {
		own = append(own, markerVar+"="+ch.marker)
	}

	var plumb plumber
	ours := &pipes{}
	ours.stdin, ours.rest = plumb.in(want.stdin, want.keepStdin)
	ours.stdout = plumb.out(want.stdout)
	ours.stderr = plumb.out(want.stderr)
	if want.control {
		ours.control = plumb.out(true)
	}
	err = plumb.err
	if err == nil {
		sys := sysProcAttr(c.Pdeathsig)
		if want.pidfd {
			askPidFD(sys, &ch.pidfd)
		}
		err = ch.fork(path, argv, &syscall.ProcAttr{
			Dir:   c.Dir,
			Env:   c.environ(jobEnv, own),
			Files: plumb.theirs,
			Sys:   sys,
		})
	}
	plumb.closeTheirs()
	if err != nil {
		ours.close()
		return nil, nil, c.startFailed(argv[0], err)
	}
	ch.enterGroup()
	return ch, ours, nil
}

// startFailed turns an error of fork or exec into one that says what was missing.
func (c *Command) startFailed(name string, err error) error {
	c.forgetPath()
	if c.Dir != "" {
		if _, dirErr := os.Stat(c.Dir); dirErr != nil {
			return &startError{name: name, err: dirErr}
		}
	}
	return newStartError(name, err)
}

// signal sends sig to the whole group and reports whether there was anyone to
// get it.
func (ch *child) signal(sig syscall.Signal) bool {
	return syscall.Kill(-ch.pid, sig) == nil
}

// groupGone sends sig, which may be 0, to what is left of the group once the
// child has been reaped, and reports whether nothing is left.
func (ch *child) groupGone(sig syscall.Signal) bool {
	if !ch.signal(sig) {
		return true
	}
	ch.reapMembers()
	if ch.groupLives() {
		return false
	}
	// A member may have ended since it was found alive by reapMembers.
	ch.reapMembers()
	ch.zombies = ch.signal(0)
	return true
}

// reapMembers reaps the members of the group that have ended and have become
// children of ours, as this process is a subreaper or process 1.
func (ch *child) reapMembers() {
	for wait4(-ch.pid, nil, syscall.WNOHANG, nil) > 0 {
	}
}

// reaping is held for writing while a child that has ended is reaped, and for
// reading by who lists children: the kernel's list, from which one is taken while
// it is read, may show one too few.
var reaping sync.RWMutex

// wait4 is the system call, less its interruptions. It returns 0 if there was
// nothing to reap yet, less if there never will be.
func wait4(pid int, status *syscall.WaitStatus, options int, usage *syscall.Rusage) int {
	reaping.Lock()
	defer reaping.Unlock()
	for {
		got, err := syscall.Wait4(pid, status, options, usage)
		if err == nil {
			return got
		}
		if err != syscall.EINTR {
			return -1
		}
	}
}

// plumber makes pipes for a child. After its first error it makes no more.
type plumber struct {
	theirs []uintptr // the child's ends, in the order of its file descriptors
	opened []int     // those of them that are to be closed after the fork
	err    error
}

// pipeSize is what a pipe holds, in bytes, unless it is widened.
const pipeSize = 64 << 10

// in makes a pipe for the child to read b from and fills it as far as it goes.
// If that was all, and no more is to come, the pipe is complete and nil is
// returned, else our end and what remains to be written.
func (p *plumber) in(b []byte, keep bool) (*inPipe, []byte) {
	r, w := p.pipe()
	if p.err != nil {
		return nil, nil
	}
	p.give(r)
	if err := syscall.SetNonblock(w, true); err != nil {
		p.err = os.NewSyscallError("fcntl", err)
		syscall.Close(w)
		return nil, nil
	}
	if len(b) > pipeSize && !keep {
		widen(w, len(b))
	}
	if len(b) > 0 {
		if n, err := syscall.Write(w, b); err == nil {
			b = b[n:]
		}
	}
	if len(b) == 0 && !keep {
		syscall.Close(w)
		return nil, nil
	}
	return &inPipe{file: os.NewFile(uintptr(w), "stdin"), fd: w}, b
}

// out makes a pipe for the child to write to or, if it is not wanted, gives it
// the null device.
func (p *plumber) out(wanted bool) *outPipe {
	if !wanted {
		null, err := devNull()
		if err != nil && p.err == nil {
			p.err = err
		}
		if p.err == nil {
			p.theirs = append(p.theirs, null)
		}
		return nil
	}
	r, w := p.pipe()
	if p.err != nil {
		return nil
	}
	p.give(w)
	if err := syscall.SetNonblock(r, true); err != nil {
		p.err = os.NewSyscallError("fcntl", err)
		syscall.Close(r)
		return nil
	}
	return &outPipe{fd: r, max: chunkSize}
}

func (p *plumber) pipe() (r, w int) {
	if p.err != nil {
		return -1, -1
	}
	var fds [2]int
	if err := pipe(&fds); err != nil {
		p.err = os.NewSyscallError("pipe", err)
	}
	return fds[0], fds[1]
}

func (p *plumber) give(fd int) {
	p.theirs = append(p.theirs, uintptr(fd))
	p.opened = append(p.opened, fd)
}

func (p *plumber) closeTheirs() {
	for _, fd := range p.opened {
		syscall.Close(fd)
	}
}

// null is a descriptor of the null device that is opened once and stays open.
var null struct {
	mu     sync.Mutex
	fd     uintptr
	opened bool
}

// devNull returns the descriptor of the null device. A failure is not remembered:
// the next child may find a free descriptor.
func devNull() (uintptr, error) {
	null.mu.Lock()
	defer null.mu.Unlock()
	if !null.opened {
		fd, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err != nil {
			return 0, &os.PathError{Op: "open", Path: os.DevNull, Err: err}
		}
		null.fd, null.opened = uintptr(fd), true
	}
	return null.fd, nil
}

// outs lists the pipes that are read.
func (p *pipes) outs() []*outPipe {
	var outs []*outPipe
	for _, o := range []*outPipe{p.stdout, p.stderr, p.control} {
		if o != nil {
			outs = append(outs, o)
		}
	}
	return outs
}

// finish has every pump end soon; see outPipe.finish.
func (p *pipes) finish() {
	if p.stdin != nil {
		p.stdin.finish()
	}
	for _, o := range p.outs() {
		o.finish()
	}
}

// close is for pipes that have no pumps.
func (p *pipes) close() {
	if p.stdin != nil {
		p.stdin.file.Close()
	}
	for _, o := range p.outs() {
		o.close()
	}
}
