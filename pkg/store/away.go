package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// AwayError is returned by Open when the store's server cannot be reached, or
// does not accept connections yet because it is starting. Other errors, such as
// a wrong password, need an administrator.
type AwayError struct{ Err error }

func (e *AwayError) Error() string { return e.Err.Error() }
func (e *AwayError) Unwrap() error { return e.Err }

// MarkAway wraps err in an [*AwayError] if it is a network error, or if the
// driver reports that the server accepts no connections yet.
func MarkAway(err error, notYet bool) error {
	if err == nil || !notYet && !unreachable(err) {
		return err
	}
	return &AwayError{Err: err}
}

func unreachable(err error) bool {
	var operation *net.OpError
	var lookup *net.DNSError
	var number syscall.Errno
	switch {
	case errors.As(err, &operation), errors.As(err, &lookup):
		return !errors.Is(err, fs.ErrPermission)
	case errors.As(err, &number):
		return number == syscall.ECONNREFUSED || number == syscall.ECONNRESET || number == syscall.EPIPE || number == syscall.ENOENT
	}
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, driver.ErrBadConn, os.ErrDeadlineExceeded, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
