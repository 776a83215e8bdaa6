package sqlite

import (
	"errors"
	"os"
	"syscall"
)

// keepSize is FALLOC_FL_KEEP_SIZE: the file gets blocks, but does not become
// longer.
const keepSize = 1

// reserve allocates blocks on the disk for the first size bytes of a file.
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
