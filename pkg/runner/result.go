package runner

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Codes of a Result whose child has no exit code, as in timeout(1), shells and
// sysexits.h.
const (
	codeIOError       = 74
	codeTemporary     = 75
	codeProtocol      = 76
	codeTimedOut      = 124
	codeNotExecutable = 126
	codeNotFound      = 127
	codeSignal        = 128
)

// Result is the end of a job. ExitCode and Signal are those of the direct child,
// independent of the processes that it started.
type Result struct {
	ExitCode int            // 0 to 255; also 0 if a signal ended the child, or if there was no child
	Signal   syscall.Signal // the signal that ended the child, or 0

	// At most one of these is set: the first reason to stop the child. After the
	// SIGTERM that follows, the child may still have exited on its own, even with 0.
	TimedOut  bool  // it ran longer than Command.Timeout
	Cancelled bool  // its context was done, or Job.Kill closed, before it had ended
	StdoutErr error // the error of Job.Stdout, or ErrLineTooLong
	AnswerErr error // the answer of a Keeper's child, or the payload, breaks the rules

	StartErr error // the child could not be started; see ErrNotFound and ErrNotExecutable

	Stderr []byte // the end of stderr, from the beginning of a line if possible

	Duration   time.Duration // from the start of the child to its end
	UserTime   time.Duration // CPU time of the child and of its descendants that were waited for
	SystemTime time.Duration
	// MaxRSS is the peak resident memory in bytes. On Linux it is at least that of this
	// process at the start of the child, which shares the memory until it executes the
	// program.
	MaxRSS int64

	timeout time.Duration
}

// OK reports whether the child exited on its own with 0 and its output was accepted.
func (r Result) OK() bool { return r.Code() == 0 }

// Temporary reports whether the same job may succeed later: the child exited with 75
// (EX_TEMPFAIL), or the system had no process, memory, descriptor or pipe for it.
func (r Result) Temporary() bool { return r.Code() == codeTemporary }

// Code returns the outcome as a number, as in shells: the exit code of the child; 128
// plus the number of its signal; 124 after a timeout; 126 if the program could not be
// executed; 127 if it does not exist; 75 if the system had no room for the child; 74 if
// Stdout returned an error; 76 if the answer of a Keeper's child was invalid. It is 0
// only for a success: a cancelled job that exited with 0 has 143, as after SIGTERM.
func (r Result) Code() int {
	switch {
	case errors.Is(r.StartErr, ErrNotFound):
		return codeNotFound
	case r.StartErr != nil && noRoom(r.StartErr):
		return codeTemporary
	case r.StartErr != nil:
		return codeNotExecutable
	case r.TimedOut:
		return codeTimedOut
	case r.StdoutErr != nil:
		return codeIOError
	case r.AnswerErr != nil:
		return codeProtocol
	case r.Signal != 0:
		return codeSignal + int(r.Signal)
	case r.Cancelled && r.ExitCode == 0:
		return codeSignal + int(syscall.SIGTERM)
	}
	return r.ExitCode
}

// Err returns an error that describes the outcome, nil if OK is true.
func (r Result) Err() error {
	switch {
	case r.StartErr != nil:
		return r.StartErr
	case r.TimedOut:
		return fmt.Errorf("timed out after %v", r.timeout)
	case r.StdoutErr != nil:
		return fmt.Errorf("stdout: %w", r.StdoutErr)
	case r.AnswerErr != nil:
		return r.AnswerErr
	case r.Cancelled:
		return errors.New("cancelled")
	case r.Signal != 0:
		return fmt.Errorf("killed by signal %d (%v)", int(r.Signal), r.Signal)
	case r.ExitCode != 0:
		return fmt.Errorf("exit status %d", r.ExitCode)
	}
	return nil
}

// permanentErrnos are the reasons of a failed start that stay. All others (EAGAIN,
// ENOMEM, EMFILE, ENFILE, ENOSPC, EIO, ETXTBSY, ...) mean that the system has no room
// for a child now.
var permanentErrnos = []syscall.Errno{
	syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM, syscall.EISDIR, syscall.ENOEXEC,
	syscall.E2BIG, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.ENOSYS,
}

// noRoom reports whether err, of a failed start, may not occur later.
func noRoom(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && !slices.Contains(permanentErrnos, errno)
}
