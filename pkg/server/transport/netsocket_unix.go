//go:build unix

package transport

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The events for isReady.
const (
	readable = unix.POLLIN
	writable = unix.POLLOUT
)

// isReady reports whether an event is due for a descriptor. It does not wait.
func isReady(fd int, event int16) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: event}}
		if n, err := unix.Poll(fds, 0); err != unix.EINTR {
			return err == nil && n > 0 && fds[0].Revents&event != 0
		}
	}
}

// rawWrite writes to a non-blocking descriptor. A full socket is not an error: it
// takes fewer bytes.
func rawWrite(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, b)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}
