//go:build unix

package filestore

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// SyncDir syncs the entries of a directory.
func SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// keepOwner gives a file the owner and the group that info has, if it can.
func keepOwner(path string, info os.FileInfo) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = os.Chown(path, int(s.Uid), int(s.Gid))
	}
}
