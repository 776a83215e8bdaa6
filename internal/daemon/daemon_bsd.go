//go:build unix && !linux

package daemon

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dup2 makes descriptor to a copy of descriptor from.
func dup2(from, to int) error { return unix.Dup2(from, to) }

// setDumpable does nothing: only Linux needs it.
func setDumpable() {}

// setRlimit sets the soft limit, and raises the hard limit to it if necessary.
func setRlimit(limit *syscall.Rlimit, n int) { setLimit(&limit.Cur, &limit.Max, n) }

// setLimit is setRlimit for a system whose limits may be signed (FreeBSD).
func setLimit[T int64 | uint64](soft, hard *T, n int) {
	*soft = T(n)
	*hard = max(*hard, *soft)
}
