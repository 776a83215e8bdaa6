package filestore

import (
	"fmt"
	"syscall"
	"testing"
)

func TestIsFull(t *testing.T) {
	if !IsFull(fmt.Errorf("write: %w", syscall.ENOSPC)) || IsFull(syscall.EIO) || IsFull(nil) {
		t.Errorf("no space: %v, I/O error: %v, none: %v", IsFull(syscall.ENOSPC), IsFull(syscall.EIO), IsFull(nil))
	}
}
