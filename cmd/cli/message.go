package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// PrintLine prints one line of data that is no row.
func (e *Env) PrintLine(line string) error {
	_, err := io.WriteString(e.Stdout, line+"\n")
	return err
}

// Notef prints a line on stderr that is not the error of the verb.
func (e *Env) Notef(format string, args ...any) {
	e.PrintMessage(ProgramName+": ", Printable(fmt.Sprintf(format, args...), false))
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

// Message returns the text of err for a person. It is empty for errors about which gm
// prints nothing.
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
		return "" // as for any filter whose reader has ended
	}
	return err.Error()
}

// EndLastLine inspects the bytes written to stdout until end is called. On a terminal, end
// completes the last line, so that the prompt of the shell begins a line.
func (e *Env) EndLastLine() (end func()) {
	if !IsTerminal(e.Stdout) {
		return func() {}
	}
	stdout := e.Stdout
	line := &lastLine{w: stdout}
	e.Stdout = line
	return func() {
		e.Stdout = stdout
		if line.open {
			io.WriteString(stdout, "\n") //nolint:errcheck // it only completes the display
		}
	}
}

// lastLine is a writer that records whether its text ends within a line.
type lastLine struct {
	w    io.Writer
	open bool
}

// Write implements io.Writer.
func (l *lastLine) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if n > 0 {
		l.open = p[n-1] != '\n'
	}
	return n, err
}
