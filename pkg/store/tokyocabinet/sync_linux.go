//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"os"
	"syscall"
)

// datasync writes the content of a file to the disk.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// reserve allocates blocks after the end of a file, so that the library's writes do not
// fail in the middle of a batch.
func reserve(f *os.File, size, room int64) error {
	const keepSize = 1
	for {
		err := syscall.Fallocate(int(f.Fd()), keepSize, size, room)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return nil
		}
		return err
	}
}
