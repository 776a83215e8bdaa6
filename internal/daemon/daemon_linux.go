package daemon

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dup2 makes descriptor to a copy of descriptor from.
func dup2(from, to int) error { return unix.Dup3(from, to, 0) }

// setDumpable allows a core file after a change of the user, which the kernel forbids by
// default.
func setDumpable() { unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) } //nolint:errcheck // a crash then leaves no core file

// setRlimit sets the soft limit, and raises the hard limit to it if necessary.
func setRlimit(limit *syscall.Rlimit, n int) {
	limit.Cur = uint64(n)
	limit.Max = max(limit.Max, limit.Cur)
}
