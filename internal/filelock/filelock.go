// Package filelock locks an open file for this process.
package filelock

import "errors"

// ErrHeld is returned by Lock if another process has the lock.
var ErrHeld = errors.New("another process has it")
