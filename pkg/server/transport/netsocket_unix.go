//go:build unix

package transport

import "syscall"

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
