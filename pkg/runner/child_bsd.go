//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package runner

import (
	"errors"
	"runtime"
	"syscall"
)

// Subreap asks that processes which left their job's group be found as well.
// It needs Linux; elsewhere it returns errors.ErrUnsupported.
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

// askPidFD leaves fd alone: that is a thing of Linux.
func askPidFD(*syscall.SysProcAttr, *int) {}

// quick is not for systems without a pidfd.
func (r *run) quick() bool { return false }

// await returns when the child has ended. It reaps it as well, for want of a
// wait that does not; a signal sent meanwhile finds no one, unless the system
// went through all of its process numbers in that moment.
func (ch *child) await() {
	for {
		_, err := syscall.Wait4(ch.pid, &ch.status, 0, &ch.usage)
		if err != syscall.EINTR {
			return
		}
	}
}

// reap is done by await.
func (ch *child) reap() {}

// groupLives reports whether the group has members.
func (ch *child) groupLives() bool { return ch.signal(0) }

func (ch *child) strays(syscall.Signal) bool { return false }

// maxRSS returns the peak resident memory in bytes; only darwin counts in those.
func (ch *child) maxRSS() int64 {
	if runtime.GOOS == "darwin" {
		return int64(ch.usage.Maxrss)
	}
	return int64(ch.usage.Maxrss) << 10
}

// enterGroup and leaveGroup are for a guard, which needs Linux.
func (ch *child) enterGroup() {}
func (ch *child) leaveGroup() {}

// startReaper is for a subreaper, which needs Linux.
func startReaper() {}
