//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"os"
	"sync"
	"syscall"
)

// child is a process that leads its own process group. One goroutine sends its
// signals and reaps it, so that no signal goes to another process that has got the
// same number.
type child struct {
	pid    int // also the number of the group
	marker string
	pidfd  int // readable when the child has ended; negative if none was opened

	status syscall.WaitStatus // set by reap
	usage  syscall.Rusage

	member int          // a member of the group that was alive after the child's end
	doubts int          // number of checks that could not exclude strays
	hinted map[int]bool // strays that got a signal

	// leftovers is set if the last check found orphans, and zombies if it found members
	// of the group that this process cannot reap.
	leftovers, zombies bool

	place *uint32 // the entry of the group in the guard's table; may be nil
}

// pipes has our ends of a child's pipes. A pipe that is not needed is nil.
type pipes struct {
	stdin   *inPipe
	rest    []byte // the part of stdin that did not fit into the pipe
	stdout  *outPipe
	stderr  *outPipe
	control *outPipe
}

// plan selects the pipes of a child.
type plan struct {
	stdin                   []byte
	keepStdin               bool // leaves the pipe open after stdin is written
	pidfd                   bool // opens a pidfd if the system has them
	stdout, stderr, control bool
}

// start starts the command as a child with the pipes of want. After an error it leaves
// nothing behind.
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
		ours.closeAll()
		return nil, nil, c.startFailed(argv[0], err)
	}
	ch.enterGroup()
	return ch, ours, nil
}

// startFailed returns an error that names the missing directory or program for an
// error of fork or exec.
func (c *Command) startFailed(name string, err error) error {
	c.forgetPath()
	if c.Dir != "" {
		if _, dirErr := os.Stat(c.Dir); dirErr != nil {
			return &startError{name: name, err: dirErr}
		}
	}
	return newStartError(name, err)
}

// signal sends sig to the whole group and reports whether the group had a member.
func (ch *child) signal(sig syscall.Signal) bool {
	return syscall.Kill(-ch.pid, sig) == nil
}

// signalGroup sends sig, which may be 0, to the rest of the group after the child
// was reaped, and reports whether the group is empty.
func (ch *child) signalGroup(sig syscall.Signal) bool {
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

// reapMembers reaps the ended members of the group that have become children of this
// process because it is a subreaper or process 1.
func (ch *child) reapMembers() {
	for wait4(-ch.pid, nil, syscall.WNOHANG, nil) > 0 {
	}
}

// reaping is locked for writing while an ended child is reaped, and for reading while
// children are listed. If a child is reaped while the kernel's list is read, the list
// may lack another one.
var reaping sync.RWMutex

// wait4 is the system call, repeated after interruptions. It returns 0 if there is
// nothing to reap yet, and a negative number if there never will be.
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
	opened []int     // those of them that are closed after the fork
	err    error
}

// pipeSize is the size of a pipe in bytes, unless it is widened.
const pipeSize = 64 << 10

// in makes a pipe from which the child reads b, and writes as much of b as fits. If
// that was all and keep is false, it closes the pipe and returns nil. Otherwise it
// returns our end and the rest of b.
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

// out makes a pipe to which the child writes, or gives it the null device if the pipe
// is not wanted.
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

// devNull returns the descriptor of the null device. It does not remember a failure,
// because the next call may find a free descriptor.
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

// outs returns the pipes that this process reads.
func (p *pipes) outs() []*outPipe {
	var outs []*outPipe
	for _, o := range []*outPipe{p.stdout, p.stderr, p.control} {
		if o != nil {
			outs = append(outs, o)
		}
	}
	return outs
}

// stopPumps makes every pump end soon; see outPipe.stopReading.
func (p *pipes) stopPumps() {
	if p.stdin != nil {
		p.stdin.stopWriting()
	}
	for _, o := range p.outs() {
		o.stopReading()
	}
}

// closeAll closes pipes that have no pumps.
func (p *pipes) closeAll() {
	if p.stdin != nil {
		p.stdin.file.Close()
	}
	for _, o := range p.outs() {
		o.closeRead()
	}
}
