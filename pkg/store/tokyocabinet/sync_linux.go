//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"errors"
	"os"
	"syscall"
)

// datasync brings a file's content to the disk.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// reserve sees to it that a file can grow from its size on, so that the
// library's writes do not fail half-way through a batch.
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
