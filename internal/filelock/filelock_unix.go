//go:build unix

package filelock

import (
	"errors"
	"os"
	"syscall"
)

// Lock locks f for this process, or returns ErrHeld. The system releases the
// lock when f is closed or the process ends.
func Lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrHeld
		}
		return err
	}
}
