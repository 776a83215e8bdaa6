//go:build !unix

package filestore

import "os"

// SyncDir does nothing: the system has no sync of directories.
func SyncDir(string) error { return nil }

// keepOwner does nothing.
func keepOwner(string, os.FileInfo) {}
