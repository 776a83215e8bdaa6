package cmd

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Exit codes. They follow sysexits.h, timeout(1) and the shell.
const (
	exitOK            = 0
	exitFailed        = 1
	exitUsage         = 2
	exitUnknown       = 3
	exitNoServer      = 69
	exitIO            = 74
	exitAgain         = 75
	exitProtocol      = 76
	exitRefused       = 77
	exitTimeout       = 124
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // plus the signal's number
)

// exitTexts are the texts of the codes in help and manual pages.
var exitTexts = map[int]string{
	exitOK:            "done",
	exitFailed:        "a job failed, or a store is damaged",
	exitUsage:         "wrong usage or configuration",
	exitUnknown:       "unknown job or function, or no worker where one was required",
	exitNoServer:      "no server could be reached",
	exitIO:            "reading or writing failed",
	exitAgain:         "try again: connection lost during a job, queue full, or in use",
	exitProtocol:      "the other end violates the protocol",
	exitRefused:       "refused",
	exitTimeout:       "time limit exceeded",
	exitNotExecutable: "the worker's command is not executable",
	exitNotFound:      "the worker's command was not found",
	exitSignal:        "128+n: ended by signal n",
}

// codeOfErr is the code of an exitError that has the exit code of the error in it.
const codeOfErr = -1

// exitError is an error with the exit code and the hint that go with it.
type exitError struct {
	code int
	err  error  // nil: nothing is printed
	hint string // empty: none
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith returns err with an exit code. A nil err is a silent exit.
func exitWith(code int, err error) error { return &exitError{code: code, err: err} }

// usageErrorf returns an error that exits with 2.
func usageErrorf(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// withHint returns err with a hint, a line with advice for the user.
func withHint(err error, hint string) error {
	return &exitError{code: codeOfErr, err: err, hint: hint}
}

// signalError is the end of a verb by a signal.
type signalError struct{ sig syscall.Signal }

func (e *signalError) Error() string { return "ended by signal: " + e.sig.String() }

// output is stdout. It marks its errors, so that a broken pipe of stdout differs from one
// of a connection.
type output struct{ io.Writer }

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = &outputError{err}
	}
	return n, err
}

// outputError is a failure to write to stdout.
type outputError struct{ err error }

func (e *outputError) Error() string { return "write to stdout: " + e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// report prints err and its hint on stderr and returns the exit code. A usage error
// without a hint names the help of the running verb.
func (e *cliEnv) report(err error, code int, hint string) int {
	if text := message(err); text != "" {
		for line := range strings.SplitSeq(printable(text, true), "\n") {
			e.printMessage(programName+": ", line)
		}
		if hint == "" && code == exitUsage && e.verb != "" {
			hint = "gm " + e.verb + " -h shows its usage"
		}
		if hint != "" {
			e.printMessage("hint: ", renameProgram(hint))
		}
	}
	return code
}

// printMessage prints a line on stderr after a prefix. On a terminal it wraps a long line
// at blanks.
func (e *cliEnv) printMessage(prefix, line string) {
	width, _ := terminalSize(e.stderr)
	if width > 0 && textWidth(prefix+line) > width {
		line = strings.TrimSpace(line)
		fmt.Fprint(e.stderr, wrap(line, prefix, strings.Repeat(" ", len(prefix)), width))
		return
	}
	fmt.Fprintf(e.stderr, "%s%s\n", prefix, line)
}

// message returns the text of err for a person, empty if gm should be silent.
func message(err error) string {
	var (
		exit *exitError
		out  *outputError
		sig  *signalError
	)
	switch {
	case err == nil, errors.As(err, &sig):
		return ""
	case errors.As(err, &exit) && exit.err == nil:
		return ""
	case errors.As(err, &out) && errors.Is(out, syscall.EPIPE):
		return "" // like any filter whose reader has ended
	}
	return err.Error()
}
