//go:build linux || freebsd || netbsd || openbsd || dragonfly

package runner

import "syscall"

// pipe makes a pipe that no other child inherits.
func pipe(fds *[2]int) error { return syscall.Pipe2(fds[:], syscall.O_CLOEXEC) }
