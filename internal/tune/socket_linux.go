package tune

import (
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// QuickAnswer is the longest time for which [Socket.Await] waits. A server nearby
// has answered by then.
const QuickAnswer = time.Millisecond

// waiters is the number of goroutines in Await, each with a thread.
var waiters atomic.Int32

// Socket waits for the next bytes of a socket. To be woken by the runtime's poller,
// and another of its threads, takes longer than a small job as a whole. A nil Socket
// does not wait.
type Socket struct{ raw syscall.RawConn }

// NewSocket returns nil for a connection that is no socket.
func NewSocket(nc net.Conn) *Socket {
	if !PollTrick.On() {
		return nil
	}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return &Socket{raw}
		}
	}
	return nil
}

// Await waits in a system call until there is something to read, or the end of the
// connection, for QuickAnswer at most. It returns at once if as many goroutines
// wait as there are processors.
func (s *Socket) Await() {
	if s == nil {
		return
	}
	defer waiters.Add(-1)
	if int(waiters.Add(1)) <= runtime.NumCPU() {
		_ = s.raw.Read(awaitReadable)
	}
}

func awaitReadable(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	wait := unix.NsecToTimespec(QuickAnswer.Nanoseconds())
	_, _ = unix.Ppoll(fds[:], &wait, nil)
	return true
}
