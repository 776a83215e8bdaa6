//go:build unix

package disk

import (
	"errors"
	"os"
	"syscall"
)

// unflock gives the file up. Closing it would not do while it is mapped.
func unflock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }

// full says whether err is that of a disk, a quota or a limit that is full.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
