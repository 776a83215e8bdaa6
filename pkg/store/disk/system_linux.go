package disk

import (
	"os"
	"syscall"
)

// reserve sees to it that the file has blocks on disk for the bytes up to
// size, and is no shorter.
func reserve(f *os.File, from, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, from, size-from)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EOPNOTSUPP, syscall.ENOSYS:
			return errNoReserve
		}
		return err
	}
}

// dropMapped takes n mapped bytes of a file from p out of the process's
// memory. They come back from the file when they are touched.
func dropMapped(p uintptr, n int64) {
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, p, uintptr(n), syscall.MADV_DONTNEED)
}

// datasync brings to the disk what was written to a file, whose size has not
// changed.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
