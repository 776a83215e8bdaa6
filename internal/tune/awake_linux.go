package tune

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleepInSystem sleeps in a system call, not in Go's scheduler. It returns false
// if that is not possible.
func sleepInSystem(d time.Duration) bool {
	t := unix.NsecToTimespec(d.Nanoseconds())
	err := unix.Nanosleep(&t, nil)
	return err == nil || err == unix.EINTR
}
