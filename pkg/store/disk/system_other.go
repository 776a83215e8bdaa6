//go:build !linux

package disk

import "os"

// reserve does nothing: this system can't, or not in this way.
func reserve(*os.File, int64, int64) error { return errNoReserve }

// dropMapped does nothing.
func dropMapped(uintptr, int64) {}

// datasync brings to the disk what was written to a file.
func datasync(f *os.File) error { return f.Sync() }
