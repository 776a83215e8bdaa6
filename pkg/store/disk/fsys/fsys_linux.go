package fsys

import (
	"os"
	"syscall"
)

// Reserve allocates blocks on the disk for the bytes of f between from and size,
// and makes f at least size bytes long. Besides ErrNoReserve, the error is that
// of the system.
func Reserve(f *os.File, from, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, from, size-from)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EOPNOTSUPP, syscall.ENOSYS:
			return ErrNoReserve
		}
		return err
	}
}

// datasync writes the content of f, whose size has not changed, to the disk.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
