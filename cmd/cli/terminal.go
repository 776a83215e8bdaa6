package cli

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"
)

// Output is stdout. Its errors are *OutputError, so that a broken pipe of stdout differs
// from the broken pipe of a connection.
type Output struct{ io.Writer }

func (o *Output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil {
		err = &OutputError{err}
	}
	return n, err
}

// IsTerminal reports whether a stream of Env is a terminal.
func IsTerminal(stream any) bool {
	if o, ok := stream.(*Output); ok {
		stream = o.Writer
	}
	f, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// TerminalSize returns the columns and lines of a terminal, which is a stream of Env. It
// returns 80 and 24 if the terminal does not report them, and 0 if stream is no terminal.
func TerminalSize(stream any) (columns, lines int) {
	switch s := stream.(type) {
	case *Output:
		stream = s.Writer
	case interface{ Terminal() io.Writer }: // it draws on a terminal
		stream = s.Terminal()
	}
	if f, ok := stream.(*os.File); ok && IsTerminal(f) {
		if columns, lines = terminalDimensions(f); columns == 0 || lines == 0 {
			return 80, 24
		}
	}
	return columns, lines
}

// TerminalOf returns w as a file if it is a terminal; otherwise nil.
func TerminalOf(w io.Writer) *os.File {
	if f, ok := w.(*os.File); ok && IsTerminal(f) {
		return f
	}
	return nil
}

// FileOf returns the file to which a stream of Env writes, nil if it is no file.
func FileOf(w io.Writer) *os.File {
	if o, ok := w.(*Output); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// HasControllingTerminal reports whether the process belongs to a terminal, which can hang
// up.
func HasControllingTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}
