package sqlite

import (
	"errors"
	"os"
	"syscall"
)

// keepSize is FALLOC_FL_KEEP_SIZE: there are blocks, and the file is no longer
// than before.
const keepSize = 1

// reserve sees to it that a file has blocks on disk for its first size bytes.
func reserve(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for {
		err = syscall.Fallocate(int(f.Fd()), keepSize, 0, size)
		if err != syscall.EINTR {
			break
		}
	}
	switch err {
	case nil:
		return f.Close()
	case syscall.EOPNOTSUPP, syscall.ENOSYS:
		err = errNoReserve
	}
	return errors.Join(err, f.Close())
}
