//go:build !unix

package disk

import "os"

// unflock does nothing.
func unflock(*os.File) {}

// full can't tell.
func full(error) bool { return false }
