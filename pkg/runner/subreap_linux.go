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

// orphanage is the state of this process's children. A child was either started by a
// Run, or is an orphan that the kernel gave this process as its nearest subreaper.
//
// Any Run, or the orphanReaper, reaps an orphan. It must not reap the child of a Run,
// because the Run would lose the exit status. So gate is locked for reading by a fork
// until its child is in direct, and for writing by reapOrphan, which checks direct
// first.
var orphanage struct {
	gate   sync.RWMutex
	direct sync.Map // int to *child: started and not yet reaped

	mu       sync.Mutex   // held by Subreap
	prefix   string       // of markers; set before children
	children atomic.Int64 // descriptor of the main thread's list in /proc, 0 before Subreap
	last     atomic.Uint64

	strangers sync.Map // int to true: orphans whose environment cannot be read
}

// maxDoubts is the number of checks that a Run spends on processes that may be its own.
const maxDoubts = 8

// Subreap makes this process the parent of the orphans among its descendants, so that a
// Run finds the processes of its job even if they have left the process group, as with
// setsid(1). A program calls it once, before its first Run, because it changes the
// process: children that are not started by this package must stay in the process group
// of this process, as those of os/exec do. Otherwise a Run may reap them, and their exit
// status is lost.
//
// The variable GM_JOB marks the processes of a job. A process that has both left the
// group and removed this variable is not found.
//
// Subreap needs Linux with /proc and CONFIG_PROC_CHILDREN, which distributions have.
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

// newMarker returns the value of GM_JOB for a new child, "" before Subreap.
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
	// Another process may already have the same number.
	orphanage.direct.CompareAndDelete(ch.pid, ch)
}

// strays sends sig to the job's processes outside its group after the child was reaped,
// and reports whether there are any. Each gets SIGTERM only once. Without orphans this
// costs one read.
func (ch *child) strays(sig syscall.Signal) (found bool) {
	if ch.marker == "" {
		return false
	}
	var unknown bool
	var mute []int // ended, ending, in the middle of execve, or of another user
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
	// A process in the middle of execve soon has an environment, and may belong to the
	// job. The environment of another user's process stays unreadable.
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

// hint sends sig to one stray, which is a child of this process. Another process could
// have its number only if all numbers had been used since the listing.
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

// adopted returns the children that no Run has started and that are neither in the
// process group of this process nor in the group except, whose members get their signals
// elsewhere. A child that is just being forked may be among them; it has no marker yet,
// or that of another job.
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

// reapOrphans reaps the processes of pids that have ended and are not children of a
// Run. It returns those that are alive or still ending.
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

// readEnviron reads the environment of a process. If its main thread has ended, only the
// other threads have it.
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

// readEnvironFile reads an environment with one read, because an execve between two
// reads would truncate it.
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
