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

// AwayError is the error of Open when the store's server can't be reached, or
// does not take connections yet: it may be about to start. Other errors, such as
// that of a wrong password, need an administrator.
type AwayError struct{ Err error }

func (e *AwayError) Error() string { return e.Err.Error() }
func (e *AwayError) Unwrap() error { return e.Err }

// MarkAway returns err as an [*AwayError] if it is one of the network, or if the
// driver says that the server takes no connections yet.
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
