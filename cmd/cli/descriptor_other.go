//go:build !unix

package cli

import "os"

func TerminalWidth(*os.File) int { return 0 }

func terminalDimensions(*os.File) (columns, lines int) { return 0, 0 }

// resizeSignals is empty: the next output uses the new size.
var resizeSignals []os.Signal
