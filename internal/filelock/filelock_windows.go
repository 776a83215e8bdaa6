package filelock

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

const (
	lockFailAtOnce = 1
	lockExclusive  = 2
	// lockedHigh is the upper half of the offset of the locked byte. It is far
	// behind the holder's name in the file, which others may read.
	lockedHigh = 1 << 20

	errLockViolation = syscall.Errno(33)
)

// Lock locks f for this process, or returns ErrHeld. The system releases the
// lock when f is closed or the process ends.
func Lock(f *os.File) error {
	at := syscall.Overlapped{OffsetHigh: lockedHigh}
	ok, _, err := lockFileEx.Call(f.Fd(), lockFailAtOnce|lockExclusive, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	switch {
	case ok != 0:
		return nil
	case errors.Is(err, errLockViolation), errors.Is(err, syscall.ERROR_IO_PENDING):
		return ErrHeld
	}
	return err
}
