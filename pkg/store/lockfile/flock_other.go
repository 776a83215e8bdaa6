//go:build !unix && !windows

package lockfile

import "os"

// Lock does nothing: only the engines' own locks protect the files.
func Lock(*os.File) error { return nil }
