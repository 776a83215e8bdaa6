//go:build !unix

package cmd

import "os"

func appends(*os.File) bool { return false }

func fileID(*os.File) string { return "" }

func terminalWidth(*os.File) int { return 0 }

func terminalDimensions(*os.File) (columns, lines int) { return 0, 0 }

// resizeSignals are none: the next look sees the new size.
var resizeSignals []os.Signal
