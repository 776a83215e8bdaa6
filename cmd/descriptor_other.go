//go:build !unix

package cmd

import "os"

func appends(*os.File) bool { return false }

func terminalWidth(*os.File) int { return 0 }
