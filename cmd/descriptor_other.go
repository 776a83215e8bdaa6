//go:build !unix

package cmd

import "os"

func appends(*os.File) bool { return false }

func fileID(*os.File) string { return "" }

func terminalWidth(*os.File) int { return 0 }
