package cli

import (
	"errors"
	"fmt"
	"syscall"
)

// Exit codes. They follow sysexits.h, timeout(1) and the shell.
const (
	ExitOK            = 0
	ExitFailed        = 1
	ExitUsage         = 2
	ExitUnknown       = 3
	ExitNoServer      = 69
	ExitIO            = 74
	ExitAgain         = 75
	ExitProtocol      = 76
	ExitRefused       = 77
	ExitTimeout       = 124
	ExitNotExecutable = 126
	ExitNotFound      = 127
	ExitSignal        = 128 // plus the signal's number
)

// CodeOfErr is the code of an ExitError whose exit code is that of the error inside.
const CodeOfErr = -1

// ExitError is an error with an exit code and a hint.
type ExitError struct {
	Code int
	Err  error  // nil: nothing is printed
	Hint string // may be empty
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// ExitWith returns err with an exit code. If err is nil, nothing is printed.
func ExitWith(code int, err error) error { return &ExitError{Code: code, Err: err} }

// UsageErrorf returns an error with the exit code 2.
func UsageErrorf(format string, args ...any) error {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// WithHint returns err with a hint, which is a line of advice for the user.
func WithHint(err error, hint string) error {
	return &ExitError{Code: CodeOfErr, Err: err, Hint: hint}
}

// HintOf returns the outermost hint in err. Without a hint it returns "".
func HintOf(err error) string {
	var exit *ExitError
	for next := err; errors.As(next, &exit); next = exit.Err {
		if exit.Hint != "" {
			return exit.Hint
		}
	}
	return ""
}

// SignalError is returned when a signal has ended a verb.
type SignalError struct{ Sig syscall.Signal }

func (e *SignalError) Error() string { return "ended by signal: " + e.Sig.String() }

// OutputError is returned when a write to stdout has failed.
type OutputError struct{ Err error }

func (e *OutputError) Error() string { return "write to stdout: " + e.Err.Error() }
func (e *OutputError) Unwrap() error { return e.Err }
