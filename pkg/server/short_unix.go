//go:build unix && (!linux || race)

package server

import "syscall"

// The race detector takes what package syscall reads and writes for a
// synchronization, as a client of one process with the server may do.

func shortRead(fd int, b []byte) (int, error)  { return syscall.Read(fd, b) }
func shortWrite(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
