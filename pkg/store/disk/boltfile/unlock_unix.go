//go:build unix

package boltfile

import (
	"os"
	"syscall"
)

// unlock releases the lock of a file. Closing does not release it while the file
// is mapped.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
