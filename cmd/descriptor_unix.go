//go:build unix

package cmd

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// appends reports whether what is written to f goes to its end in any case.
func appends(f *os.File) bool {
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_APPEND != 0
}

// terminalDimensions returns the columns and lines of a terminal; 0 if they are
// not known.
func terminalDimensions(f *os.File) (columns, lines int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Col), int(size.Row)
}

// terminalWidth returns the columns of a terminal; 0 if they are not known.
func terminalWidth(f *os.File) int {
	columns, _ := terminalDimensions(f)
	return columns
}

// resizeSignals come when the terminal has changed its size.
var resizeSignals = []os.Signal{unix.SIGWINCH}

// fileID returns the name that the system has for f, which stays when f is
// renamed; empty if there is none.
func fileID(f *os.File) string {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
