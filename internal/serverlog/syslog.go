package serverlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"
)

// syslogSockets are the paths on which syslog daemons listen.
var syslogSockets = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

// A syslogWriter sends each line to syslog as a datagram. Only one goroutine may use it.
type syslogWriter struct{ conn net.Conn }

// dial connects to the first socket that accepts a connection.
func (w *syslogWriter) dial() (err error) {
	for _, path := range syslogSockets {
		for _, network := range []string{"unixgram", "unix"} {
			if w.conn, err = net.Dial(network, path); err == nil {
				return nil
			}
		}
	}
	return err
}

// Write sends the lines of p.
func (w *syslogWriter) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if err := w.sendLine(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// sendLine sends a line. It opens a new connection if the old one is broken.
func (w *syslogWriter) sendLine(line []byte) error {
	if w.conn != nil {
		if _, err := w.conn.Write(line); err == nil {
			return nil
		}
		w.conn.Close()
		w.conn = nil
	}
	if err := w.dial(); err != nil {
		return err
	}
	_, err := w.conn.Write(line)
	return err
}

// syslogHandler writes the header of RFC 3164 before each record: priority, time,
// program and process.
type syslogHandler struct {
	slog.Handler // writes into buf

	mu  *sync.Mutex
	buf *bytes.Buffer
	out io.Writer
}

// newSyslogHandler returns a handler that writes to out, with the format of newHandler.
func newSyslogHandler(out io.Writer, newHandler func(io.Writer) slog.Handler) *syslogHandler {
	buf := &bytes.Buffer{}
	return &syslogHandler{Handler: newHandler(buf), mu: &sync.Mutex{}, buf: buf, out: out}
}

// syslogDaemon is the facility daemon, in the bits that RFC 3164 gives it.
const syslogDaemon = 3 << 3

// Handle writes a record as one line.
func (h *syslogHandler) Handle(ctx context.Context, r slog.Record) error {
	severity := 7 // debug
	switch {
	case r.Level >= slog.LevelError:
		severity = 3
	case r.Level >= slog.LevelWarn:
		severity = 4
	case r.Level >= slog.LevelInfo:
		severity = 6
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Reset()
	fmt.Fprintf(h.buf, "<%d>%s gm[%d]: ", syslogDaemon|severity, r.Time.Format(time.Stamp), os.Getpid())
	r.Time = time.Time{} // syslog has it
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.out.Write(h.buf.Bytes())
	return err
}

// WithAttrs returns a handler that shares the buffer.
func (h *syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithAttrs(attrs)
	return &with
}

// WithGroup returns a handler that shares the buffer.
func (h *syslogHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithGroup(name)
	return &with
}
