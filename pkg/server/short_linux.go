//go:build linux && !race

package server

import (
	"syscall"
	"unsafe"
)

// shortCall is how many bytes are copied so soon that nobody minds if the
// collector waits for it.
const shortCall = 64 << 10

// shortRead and shortWrite are for descriptors that do not block. As they do not
// wait, Go's scheduler is not told of them, unless there is much to be copied: it
// is a twentieth of what a small job costs.

func shortRead(fd int, b []byte) (int, error) {
	if len(b) > shortCall {
		return syscall.Read(fd, b)
	}
	return shortly(syscall.SYS_READ, fd, b)
}

func shortWrite(fd int, b []byte) (int, error) {
	if len(b) > shortCall {
		return syscall.Write(fd, b)
	}
	return shortly(syscall.SYS_WRITE, fd, b)
}

func shortly(trap uintptr, fd int, b []byte) (int, error) {
	n, _, err := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}
