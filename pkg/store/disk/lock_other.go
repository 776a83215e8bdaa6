//go:build !unix

package disk

import "os"

// flock does nothing: there is bbolt's own lock of its file.
func flock(*os.File) error { return nil }

// unflock does nothing.
func unflock(*os.File) {}

// full can't tell.
func full(error) bool { return false }
