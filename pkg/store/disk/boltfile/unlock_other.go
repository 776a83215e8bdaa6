//go:build !unix

package boltfile

import "os"

// unlock does nothing.
func unlock(*os.File) {}
