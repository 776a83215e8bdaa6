package filestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"gm/pkg/store"
)

// IsFull reports whether err is that of a full disk, quota or limit.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// MarkFull wraps [store.ErrFull] too if err is that of a full disk.
func MarkFull(err error) error {
	if IsFull(err) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// ProbeRoom returns an error if the disk has no room for size bytes next to a
// file. An engine may report that it could not write, but not the reason.
func ProbeRoom(path string, size int64) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".room-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, size))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
