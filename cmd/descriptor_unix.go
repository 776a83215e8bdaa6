//go:build unix

package cmd

import (
	"os"

	"golang.org/x/sys/unix"
)

// appends reports whether what is written to f goes to its end in any case.
func appends(f *os.File) bool {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_APPEND != 0
}

// terminalWidth returns the columns of a terminal; 0 if they are not known.
func terminalWidth(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
