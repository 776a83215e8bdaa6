//go:build !unix

package results

import "os"

// appends reports whether each write to f goes to its end, as far as that is
// known.
func appends(*os.File) bool { return false }

// fileID returns nothing: files have no identity here.
func fileID(*os.File) string { return "" }
