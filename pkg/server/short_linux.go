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
	if len(b) > shortCall || len(b) == 0 {
		return syscall.Read(fd, b)
	}
	n, _, err := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return counted(n, err)
}

func shortWrite(fd int, b []byte) (int, error) {
	if len(b) > shortCall || len(b) == 0 {
		return syscall.Write(fd, b)
	}
	n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return counted(n, err)
}

func counted(n uintptr, err syscall.Errno) (int, error) {
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}
