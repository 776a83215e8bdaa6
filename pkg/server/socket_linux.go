package server

import (
	"syscall"
	"unsafe"
)

// rawWrite writes to a non-blocking descriptor. A full socket is not an
// error: it takes fewer bytes.
func rawWrite(fd int, b []byte) (int, error) {
	n, err := rawCall(syscall.SYS_WRITE, fd, b)
	if err == syscall.EAGAIN {
		err = nil
	}
	return n, err
}

// shortCall is how many bytes are copied so soon that nobody minds if the
// collector waits for it.
const shortCall = 64 << 10

// rawCall reads or writes a non-blocking descriptor. As that does not wait, Go's
// scheduler is not told, unless there is much to be copied: it is a twentieth of
// what a small job costs.
func rawCall(trap uintptr, fd int, b []byte) (int, error) {
	var n uintptr
	err := syscall.EINTR
	for err == syscall.EINTR {
		if len(b) <= shortCall {
			n, _, err = syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		} else {
			n, _, err = syscall.Syscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		}
	}
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}
