//go:build unix

package fsys

import (
	"errors"
	"syscall"
)

// IsFull reports whether err is that of a full disk, quota or limit.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
