//go:build !linux

package boltfile

// dropMapped does nothing.
func dropMapped(uintptr, int64) {}
