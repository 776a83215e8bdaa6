//go:build !unix && !windows

package filelock

import "os"

// Lock does nothing: this system has no lock that gm knows.
func Lock(*os.File) error { return nil }
