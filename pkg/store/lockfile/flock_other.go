//go:build !unix && !windows

package lockfile

import "os"

// Lock does nothing: what is left are the engines' own locks.
func Lock(*os.File) error { return nil }
