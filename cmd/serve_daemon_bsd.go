//go:build unix && !linux

package cmd

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func dup2(from, to int) error { return unix.Dup2(from, to) }

// setDumpable does nothing: only Linux needs it.
func setDumpable() {}

// setRlimit sets the soft limit, and raises the hard one to it if need be.
func setRlimit(limit *syscall.Rlimit, n int) { setLimit(&limit.Cur, &limit.Max, n) }

// setLimit is setRlimit for a system whose limits may be signed (FreeBSD).
func setLimit[T int64 | uint64](soft, hard *T, n int) {
	*soft = T(n)
	*hard = max(*hard, *soft)
}
