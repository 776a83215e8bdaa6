//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalDimensions returns the columns and lines of a terminal, 0 if they are
// unknown.
func terminalDimensions(f *os.File) (columns, lines int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(size.Col), int(size.Row)
}

// TerminalWidth returns the columns of a terminal, 0 if they are unknown.
func TerminalWidth(f *os.File) int {
	columns, _ := terminalDimensions(f)
	return columns
}

// resizeSignals are sent when the terminal changes its size.
var resizeSignals = []os.Signal{unix.SIGWINCH}
