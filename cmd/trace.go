package cmd

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"gm/internal/logsink"
	"gm/pkg/gearman"
)

// tracer returns a tracer to file, or to stderr for "-". A slow reader of the trace makes
// the verb wait.
func (e *env) tracer(file string) (*gearman.Tracer, error) {
	if file == "-" {
		return gearman.NewTracer(e.Stderr), nil
	}
	f, err := os.OpenFile(file, traceFlags, tracePerm)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	e.Closers = append(e.Closers, f)
	return gearman.NewTracer(f), nil
}

// tracerWithoutWaiting is the tracer of a verb that must not wait for the reader
// of its trace. To a pipe, a FIFO or a terminal it writes through a bounded buffer. When
// the buffer is full it drops lines, and the trace has their number. stderr must write
// through such a buffer already.
func (e *env) tracerWithoutWaiting(file string) (*gearman.Tracer, error) {
	if file == "-" {
		if w, ok := e.Stderr.(*logsink.PatientWriter); ok {
			return gearman.NewTracer(w.Sink), nil
		}
		return gearman.NewTracer(e.Stderr), nil
	}
	f, err := openWithoutReader(file, traceFlags, tracePerm)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	var to io.Writer = f
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		sink := logsink.New(f, lostTraceLine)
		e.Closers = append(e.Closers, sink)
		to = sink
	}
	e.Closers = append(e.Closers, f)
	return gearman.NewTracer(to), nil
}

const (
	traceFlags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	tracePerm  = 0o600 // a trace has payloads
)

// lostTraceLine returns the line of a trace about n dropped ones.
func lostTraceLine(n uint64) []byte {
	return fmt.Appendf(nil, "# %d lines of the trace are lost: its reader is too slow\n", n)
}

// openWithoutReader opens a file for writing. It opens a FIFO at once, for reading too:
// opening it only for writing would wait for a reader.
func openWithoutReader(path string, flags int, perm fs.FileMode) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		flags = flags&^os.O_WRONLY | os.O_RDWR
	}
	return os.OpenFile(path, flags, perm)
}
