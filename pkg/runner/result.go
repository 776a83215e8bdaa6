package runner

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Codes that a Result gives where the child gave none, as timeout(1), shells and
// sysexits.h have them.
const (
	codeIOError       = 74
	codeTemporary     = 75
	codeProtocol      = 76
	codeTimedOut      = 124
	codeNotExecutable = 126
	codeNotFound      = 127
	codeSignal        = 128
)

// Result is how a job ended. ExitCode and Signal are those of the direct child,
// whatever became of the processes that it started.
type Result struct {
	ExitCode int            // 0 to 255; 0 also if a signal ended the child or none was started
	Signal   syscall.Signal // the signal that ended the child, or 0

	// Of these at most one is set, by what came first. The child may still have
	// exited by itself, and with 0, on the SIGTERM that followed.
	TimedOut  bool  // it ran longer than Command.Timeout
	Cancelled bool  // its context was done, or Job.Kill closed, before it had ended
	StdoutErr error // Job.Stdout's error, or ErrLineTooLong
	AnswerErr error // what a Keeper's child has answered, or the payload, breaks the rules

	StartErr error // why there never was a child; see ErrNotFound and ErrNotExecutable

	Stderr []byte // the last of stderr, beginning with a whole line if that is possible

	Duration   time.Duration // from the child's start to its end
	UserTime   time.Duration // CPU time of the child and of those of its descendants that were waited for
	SystemTime time.Duration
	// MaxRSS is the peak resident memory in bytes. On Linux it is never less than
	// this process's own at the child's start, whose memory the child shared until
	// it executed the program.
	MaxRSS int64

	timeout time.Duration
}

// OK reports whether the child exited with 0 by itself and its output was taken.
func (r Result) OK() bool { return r.Code() == 0 }

// Temporary reports whether the same job may well succeed later: the child
// exited with 75 (EX_TEMPFAIL), or could not be started because the system has no
// room for it: processes, memory, descriptors, pipes.
func (r Result) Temporary() bool { return r.Code() == codeTemporary }

// Code is the outcome as one number, as shells have it: the child's own exit
// code, 128 and the signal's number, 124 if the time was up, 126 if the program
// could not be executed, 127 if there is none, 75 if this machine had no room to
// start it, 74 if its output was not taken, 76 if it was no answer. It is 0 for nothing but success: a
// cancelled job that exited with 0 has 143, as if it had heeded SIGTERM.
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

// Err describes the outcome in words; it is nil if OK is true.
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

// permanentErrnos are the reasons of a failed start that do not pass by
// themselves. All others (EAGAIN, ENOMEM, EMFILE, ENFILE, ENOSPC, EIO, ETXTBSY, ...)
// say that the system has no room for a child now.
var permanentErrnos = []syscall.Errno{
	syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.EPERM, syscall.EISDIR, syscall.ENOEXEC,
	syscall.E2BIG, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.ENOSYS,
}

// noRoom reports whether err, of a failed start, is one that passes by itself.
func noRoom(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && !slices.Contains(permanentErrnos, errno)
}
