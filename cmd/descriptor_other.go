//go:build !unix

package cmd

import "os"

func terminalWidth(*os.File) int { return 0 }

func terminalDimensions(*os.File) (columns, lines int) { return 0, 0 }

// resizeSignals are none: the next look sees the new size.
var resizeSignals []os.Signal
