//go:build !linux

package fsys

import "os"

// Reserve returns ErrNoReserve: this system has no call for it, or another one.
func Reserve(*os.File, int64, int64) error { return ErrNoReserve }

// datasync writes the content and the size of f to the disk.
func datasync(f *os.File) error { return f.Sync() }
