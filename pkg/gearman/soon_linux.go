package gearman

import (
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// quickAnswer is how long soon waits. A server nearby has answered by then.
const quickAnswer = time.Millisecond

// waiters is how many goroutines wait in soon, each with a thread.
var waiters atomic.Int32

// soon waits for a socket's next bytes. To be woken by way of Go's poller, and
// another of its threads, takes longer than a small job as a whole.
type soon struct{ raw syscall.RawConn }

// newSoon returns nil for a connection that is no socket.
func newSoon(nc net.Conn) *soon {
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return &soon{raw}
		}
	}
	return nil
}

// await waits until there is something to be read, or its end, for a moment at
// most, in a system call of the caller's. It does nothing if there are as many
// waiters as processors.
func (s *soon) await() {
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
