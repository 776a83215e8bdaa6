//go:build unix

package transport

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// groupID returns the number of a group, which is given by name or number.
func groupID(name string) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return -1, fmt.Errorf("group %q: %w", name, err)
	}
	return strconv.Atoi(g.Gid)
}

const (
	lockAttempts = 200
	lockPause    = 5 * time.Millisecond
)

// lockDir locks a directory until unlock is called. It goes on without the lock if
// another process holds it for long, or the file system has no locks.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for range lockAttempts {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			break
		}
		time.Sleep(lockPause)
	}
	return func() { d.Close() }, nil
}

// umask guards the process's file mode creation mask.
var umask sync.Mutex

// withUmask calls f. If tight is true, only the owner can use the files that f makes.
func withUmask(tight bool, f func() error) error {
	if !tight {
		return f()
	}
	umask.Lock()
	defer umask.Unlock()
	defer syscall.Umask(syscall.Umask(0o177))
	return f()
}
