package gearman

import (
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// quickAnswer is the maximum time that quickWait waits. A nearby server answers
// sooner.
const quickAnswer = time.Millisecond

// waiters is the number of goroutines in quickWait.await, each with a thread.
var waiters atomic.Int32

// quickWait waits for the next bytes of a socket in a system call. A wake-up through
// Go's poller and another thread takes longer than a small job.
type quickWait struct{ raw syscall.RawConn }

// newQuickWait returns nil if the connection is not a socket.
func newQuickWait(nc net.Conn) *quickWait {
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return &quickWait{raw}
		}
	}
	return nil
}

// await waits until the socket has bytes or has ended, for quickAnswer at most. It
// does nothing if there are already as many waiters as processors.
func (s *quickWait) await() {
	if s == nil {
		return
	}
	defer waiters.Add(-1)
	if int(waiters.Add(1)) <= runtime.NumCPU() {
		_ = s.raw.Read(readable)
	}
}

func readable(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	wait := unix.NsecToTimespec(quickAnswer.Nanoseconds())
	_, _ = unix.Ppoll(fds[:], &wait, nil)
	return true
}
