package runner

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// orphanage is what this process knows of its children, which are of two kinds:
// those that a Run started, and orphans that the kernel gave it as the nearest
// subreaper above them.
//
// An orphan is reaped by whichever Run meets it, or by the orphanReaper. For a
// Run's own child that would be theft of its exit status, hence gate: forks hold
// it for reading until their child is in direct; reapOrphan holds it for writing,
// and looks into direct first.
var orphanage struct {
	gate   sync.RWMutex
	direct sync.Map // int to *child: started and not yet reaped

	mu       sync.Mutex   // held by Subreap
	prefix   string       // of markers; set before children
	children atomic.Int64 // descriptor of the main thread's list in /proc, 0 before Subreap
	last     atomic.Uint64

	strangers sync.Map // int to true: orphans that will not tell whose they are
}

// maxDoubts is how many looks a Run spends on processes that may be its job's.
const maxDoubts = 8

// Subreap makes this process the parent of the orphans among its descendants, so
// that a job's processes are found also if they left its process group, as
// setsid(1) and daemons do. It is for the program to call, once, before its
// first Run, for it changes the process: children that are started by other
// means than this package must remain in this process's own process group (as
// with os/exec they do), or their exit status may be lost to a Run.
//
// A process is known to be a job's by the variable GM_JOB, so one that has both
// left the group and emptied its environment still escapes.
//
// It needs Linux with /proc and CONFIG_PROC_CHILDREN, as distributions have it.
func Subreap() error {
	o := &orphanage
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.children.Load() != 0 {
		return nil
	}
	// Orphans go to the first living thread: the main one, which Go never ends.
	// So its list has all of them.
	self := os.Getpid()
	list := fmt.Sprintf("/proc/%d/task/%[1]d/children", self)
	fd, err := unix.Open(list, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("subreap: %w", &os.PathError{Op: "open", Path: list, Err: err})
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		unix.Close(fd)
		return fmt.Errorf("subreap: %w", os.NewSyscallError("prctl", err))
	}
	o.prefix = rand.Text() + "."
	o.children.Store(int64(fd))
	if self == 1 {
		startReaper()
	}
	return nil
}

// newMarker returns what GM_JOB is to be for one more child, "" before Subreap.
func newMarker() string {
	if orphanage.children.Load() == 0 {
		return ""
	}
	return orphanage.prefix + strconv.FormatUint(orphanage.last.Add(1), 36)
}

func (ch *child) fork(path string, argv []string, attr *syscall.ProcAttr) (err error) {
	orphanage.gate.RLock()
	defer orphanage.gate.RUnlock()
	ch.pid, err = syscall.ForkExec(path, argv, attr)
	if err == nil {
		orphanage.direct.Store(ch.pid, ch)
	}
	return err
}

func (ch *child) reap() {
	wait4(ch.pid, &ch.status, 0, &ch.usage)
	// The number may be in use again already.
	orphanage.direct.CompareAndDelete(ch.pid, ch)
}

// strays sends sig to the job's processes outside its group once the child has
// been reaped, SIGTERM once to each, and reports whether there are any. Where
// there are none that costs one read.
func (ch *child) strays(sig syscall.Signal) (found bool) {
	if ch.marker == "" {
		return false
	}
	var unknown bool
	var mute []int // ended, ending, in the middle of execve, or another user's
	orphans := adopted(ch.pid)
	ch.leftovers = len(orphans) > 0
	for _, pid := range orphans {
		environ, err := readEnviron(pid)
		switch {
		case err != nil || len(environ) == 0:
			mute = append(mute, pid)
		case hasVar(environ, markerVar+"="+ch.marker):
			found = true
			ch.hint(pid, sig)
		}
	}
	// A process in the middle of execve will soon have an environment, and until then
	// may be the job's; one of another user stays mute.
	last := ch.doubts == maxDoubts
	for _, pid := range reapOrphans(mute) {
		if ch.hinted[pid] {
			found = true
			continue
		}
		if last {
			orphanage.strangers.Store(pid, true)
		}
		if _, ok := orphanage.strangers.Load(pid); !ok {
			unknown = true
		}
	}
	if unknown {
		ch.doubts++
	}
	return found || unknown
}

// hint sends sig to one stray, a child of ours. Its number could have come to
// mean another only if all numbers had been used since it was listed.
func (ch *child) hint(pid int, sig syscall.Signal) {
	if sig == syscall.SIGTERM && ch.hinted[pid] {
		return
	}
	if syscall.Kill(pid, sig) == nil {
		if ch.hinted == nil {
			ch.hinted = make(map[int]bool)
		}
		ch.hinted[pid] = true
	}
}

// adopted lists the children that no Run has started and that are neither in our
// process group nor in the given one, whose members have their signals from
// elsewhere. A child whose fork is under way may be among them; it
// has no marker yet, or one of another job.
func adopted(except int) (pids []int) {
	own := syscall.Getpgrp()
	for field := range bytes.FieldsSeq(listChildren()) {
		pid, err := strconv.Atoi(string(field))
		if err != nil {
			continue
		}
		if _, ok := orphanage.direct.Load(pid); ok {
			continue
		}
		if group, err := syscall.Getpgid(pid); err == nil && group != own && group != except {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listChildren reads the main thread's list of children.
func listChildren() []byte {
	reaping.RLock()
	defer reaping.RUnlock()
	fd := int(orphanage.children.Load())
	buf, n := make([]byte, 4096), 0
	for {
		m, err := syscall.Pread(fd, buf[n:], int64(n))
		switch {
		case err == syscall.EINTR:
			continue
		case m <= 0:
			return buf[:n]
		}
		if n += m; n == len(buf) {
			buf = append(buf, buf...)
		}
	}
}

// reapOrphans reaps those of pids that have ended and are no Run's child. It
// returns those that live, or are still ending.
func reapOrphans(pids []int) (alive []int) {
	for _, pid := range pids {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		switch {
		case err != nil:
		case info.Signo == 0:
			alive = append(alive, pid)
		default:
			reapOrphan(pid)
		}
	}
	return alive
}

func reapOrphan(pid int) {
	orphanage.gate.Lock()
	defer orphanage.gate.Unlock()
	if _, ok := orphanage.direct.Load(pid); ok {
		return
	}
	wait4(pid, nil, syscall.WNOHANG, nil)
	orphanage.strangers.Delete(pid)
}

// readEnviron reads a process's environment. A process whose main thread has ended
// shows it at its other threads only.
func readEnviron(pid int) ([]byte, error) {
	environ, err := readEnvironFile(fmt.Sprintf("/proc/%d/environ", pid))
	if len(environ) > 0 || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return environ, err
	}
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, thread := range threads {
		if environ, err := readEnvironFile(fmt.Sprintf("/proc/%d/task/%s/environ", pid, thread.Name())); err == nil && len(environ) > 0 {
			return environ, nil
		}
	}
	return nil, err
}

// readEnvironFile reads an environment with one read: execve between two would cut
// it short.
func readEnvironFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for size := 32 << 10; ; size *= 4 {
		buf := make([]byte, size)
		if n, _ := f.ReadAt(buf, 0); n < size {
			return buf[:n], nil
		}
	}
}

// hasVar reports whether an environment as /proc shows it has that entry.
func hasVar(environ []byte, entry string) bool {
	for len(environ) > 0 {
		e, rest, _ := bytes.Cut(environ, []byte{0})
		if string(e) == entry {
			return true
		}
		environ = rest
	}
	return false
}
