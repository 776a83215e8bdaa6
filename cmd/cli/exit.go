package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
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

// CodeOfErr is the code of an ExitError that has the exit code of the error in it.
const CodeOfErr = -1

// ExitError is an error with the exit code and the hint that go with it.
type ExitError struct {
	Code int
	Err  error  // nil: nothing is printed
	Hint string // empty: none
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// ExitWith returns err with an exit code. A nil err is a silent exit.
func ExitWith(code int, err error) error { return &ExitError{Code: code, Err: err} }

// UsageErrorf returns an error that exits with 2.
func UsageErrorf(format string, args ...any) error {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// WithHint returns err with a hint, a line with advice for the user.
func WithHint(err error, hint string) error {
	return &ExitError{Code: CodeOfErr, Err: err, Hint: hint}
}

// HintOf returns the outermost hint in err, empty if there is none.
func HintOf(err error) string {
	var exit *ExitError
	for next := err; errors.As(next, &exit); next = exit.Err {
		if exit.Hint != "" {
			return exit.Hint
		}
	}
	return ""
}

// SignalError is the end of a verb by a signal.
type SignalError struct{ Sig syscall.Signal }

func (e *SignalError) Error() string { return "ended by signal: " + e.Sig.String() }

// Output is stdout. It marks its errors, so that a broken pipe of stdout differs from one
// of a connection.
type Output struct{ io.Writer }

func (o *Output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = &OutputError{err}
	}
	return n, err
}

// OutputError is a failure to write to stdout.
type OutputError struct{ Err error }

func (e *OutputError) Error() string { return "write to stdout: " + e.Err.Error() }
func (e *OutputError) Unwrap() error { return e.Err }

// Report prints err and its hint on stderr and returns the exit code. A usage error
// without a hint names the help of the running verb.
func (e *Env) Report(err error, code int, hint string) int {
	if text := Message(err); text != "" {
		for line := range strings.SplitSeq(Printable(text, true), "\n") {
			e.PrintMessage(ProgramName+": ", line)
		}
		if hint == "" && code == ExitUsage && e.verb != "" {
			hint = "gm " + e.verb + " -h shows its usage"
		}
		if hint != "" {
			e.PrintMessage("hint: ", RenameProgram(hint))
		}
	}
	return code
}

// PrintMessage prints a line on stderr after a prefix. On a terminal it wraps a long line
// at blanks.
func (e *Env) PrintMessage(prefix, line string) {
	width, _ := TerminalSize(e.Stderr)
	if width > 0 && TextWidth(prefix+line) > width {
		line = strings.TrimSpace(line)
		fmt.Fprint(e.Stderr, wrap(line, prefix, strings.Repeat(" ", len(prefix)), width))
		return
	}
	fmt.Fprintf(e.Stderr, "%s%s\n", prefix, line)
}

// Message returns the text of err for a person, empty if gm should be silent.
func Message(err error) string {
	var (
		exit *ExitError
		out  *OutputError
		sig  *SignalError
	)
	switch {
	case err == nil, errors.As(err, &sig):
		return ""
	case errors.As(err, &exit) && exit.Err == nil:
		return ""
	case errors.As(err, &out) && errors.Is(out, syscall.EPIPE):
		return "" // like any filter whose reader has ended
	}
	return err.Error()
}
