//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"errors"
	"runtime"
	"syscall"
)

// Subreap needs Linux; elsewhere it returns errors.ErrUnsupported.
func Subreap() error { return errors.ErrUnsupported }

func widen(fd, n int) {}

func newMarker() string { return "" }

func sysProcAttr(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func (ch *child) fork(path string, argv []string, attr *syscall.ProcAttr) (err error) {
	ch.pid, err = syscall.ForkExec(path, argv, attr)
	return err
}

// askPidFD does nothing, because only Linux has pidfds.
func askPidFD(*syscall.SysProcAttr, *int) {}

// quick returns false, because it needs a pidfd.
func (r *run) quick() bool { return false }

// await returns when the child has ended. It also reaps the child, because these systems
// have no wait that does not. A signal that is sent meanwhile reaches no process, unless
// the system has used all process numbers in that moment.
func (ch *child) await() {
	for {
		_, err := syscall.Wait4(ch.pid, &ch.status, 0, &ch.usage)
		if err != syscall.EINTR {
			return
		}
	}
}

// reap does nothing, because await has reaped the child.
func (ch *child) reap() {}

// groupLives reports whether the group has members.
func (ch *child) groupLives() bool { return ch.signal(0) }

func (ch *child) strays(syscall.Signal) bool { return false }

// maxRSS returns the peak resident memory in bytes. Only darwin counts bytes and not
// KiB.
func (ch *child) maxRSS() int64 {
	if runtime.GOOS == "darwin" {
		return int64(ch.usage.Maxrss)
	}
	return int64(ch.usage.Maxrss) << 10
}

// enterGroup and leaveGroup do nothing, because a guard needs Linux.
func (ch *child) enterGroup() {}
func (ch *child) leaveGroup() {}

// startReaper does nothing, because a subreaper needs Linux.
func startReaper() {}
