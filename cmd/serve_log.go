package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"gm/cmd/cli"
	"gm/internal/logsink"
)

// logFlags returns the flags of serve about its log.
func logFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "log-level", Value: "info", Category: catLog,
			Usage: "log lines of `LEVEL` and above: debug (every job), info, warn, error",
		},
		cli.OptionalFlag(&levelValue{}, cli.GenericFlag{
			Name: "verbose", Aliases: []string{"v"}, Category: catLog,
			Usage: "log like --log-level debug, or from `LEVEL` in gearmand's words: FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG",
		}),
		&cli.StringFlag{Name: "log-format", Value: "text", Category: catLog, Usage: "log in `FORMAT`, text or json"},
		&cli.StringFlag{
			Name: "log-file", Aliases: []string{"l"}, Category: catLog,
			Usage: "append the log to `FILE`, which SIGHUP reopens; stderr and none are no files (default stderr, none with --syslog)",
		},
		&cli.BoolFlag{Name: "syslog", Category: catLog, Usage: "send the log to syslog, as facility daemon"},
		&cli.StringFlag{
			Name: "trace", Category: catLog,
			Usage: "write every packet as text to `FILE`; - is stderr",
		},
	}
}

// levelValue is the value of --verbose.
type levelValue struct{ level *slog.Level }

// parseLevel returns the level of slog for a level in gearmand's words or ours.
func parseLevel(word string) (level slog.Level, known bool) {
	switch strings.ToUpper(word) {
	case "FATAL", "ALERT", "CRITICAL", "ERROR":
		return slog.LevelError, true
	case "WARNING", "WARN":
		return slog.LevelWarn, true
	case "NOTICE", "INFO":
		return slog.LevelInfo, true
	case "DEBUG":
		return slog.LevelDebug, true
	}
	return 0, false
}

// Set parses a level, or the boolean of the flag without a value.
func (v *levelValue) Set(s string) error {
	level, known := parseLevel(s)
	switch {
	case known:
		v.level = &level
	case s == "true":
		level = slog.LevelDebug
		v.level = &level
	case s == "false":
		v.level = nil
	default:
		return fmt.Errorf("want FATAL, ALERT, CRITICAL, ERROR, WARNING, NOTICE, INFO or DEBUG")
	}
	return nil
}

// String returns nothing: without the flag there is no level.
func (v *levelValue) String() string { return "" }

// AcceptsWord reports whether a word after the flag is its value.
func (v *levelValue) AcceptsWord(word string) bool {
	_, known := parseLevel(word)
	return known
}

// serveLog is the log of gm serve: a level that can change, and the sinks behind it.
type serveLog struct {
	logger *slog.Logger
	level  slog.LevelVar
	path   string        // of the log file; empty without one
	file   *logsink.Sink // of path
	opened *os.File      // to which file writes
}

// newServeLog returns the log that the flags describe. The end of the verb closes its
// sinks. From then on writes to e.stderr do not block.
func (e *env) newServeLog(c *cli.Context) (*serveLog, error) {
	l := &serveLog{}
	level, err := logLevel(c)
	if err != nil {
		return nil, err
	}
	l.level.Set(level)
	handler, err := l.handlerOf(c.String("log-format"))
	if err != nil {
		return nil, err
	}
	stderr := logsink.New(e.Stderr, lostLine(handler))
	e.Stderr = stderr
	e.Closers = append(e.Closers, stderr)

	var handlers []slog.Handler
	switch file := c.String("log-file"); {
	case file == "none":
		handlers = append(handlers, handler(io.Discard)) // it knows the level
	case file == "" && c.Bool("syslog"):
	case file == "", file == "stderr":
		handlers = append(handlers, handler(stderr))
	default:
		l.path = file
		if l.opened, err = openLogFile(file); err != nil {
			return nil, cli.WithHint(cli.ExitWith(cli.ExitIO, fmt.Errorf("open log: %w", err)), "--log-file FILE names another file; --log-file stderr needs no file")
		}
		l.file = logsink.New(l.opened, lostLine(handler))
		e.Closers = append(e.Closers, l.file, closeFunc(func() error { return l.opened.Close() }))
		handlers = append(handlers, handler(l.file))
	}
	if c.Bool("syslog") {
		to := &syslogWriter{}
		if err := to.dial(); err != nil {
			return nil, cli.WithHint(cli.ExitWith(cli.ExitIO, fmt.Errorf("open syslog: %w", err)), "--log-file FILE logs to a file")
		}
		frame := func(w io.Writer) slog.Handler { return newSyslogHandler(w, handler) }
		sink := logsink.New(to, lostLine(frame))
		e.Closers = append(e.Closers, sink)
		handlers = append(handlers, frame(sink))
	}
	l.logger = slog.New(slog.NewMultiHandler(handlers...))
	return l, nil
}

// logLevel returns the level that the flags give; --verbose wins.
func logLevel(c *cli.Context) (slog.Level, error) {
	if level := c.Generic("verbose").(*levelValue).level; level != nil {
		return *level, nil
	}
	level, known := parseLevel(c.String("log-level"))
	if !known {
		return 0, cli.UsageErrorf("--log-level %q: want debug, info, warn or error", c.String("log-level"))
	}
	return level, nil
}

// handlerOf returns a function that makes handlers of a format.
func (l *serveLog) handlerOf(format string) (func(io.Writer) slog.Handler, error) {
	opts := &slog.HandlerOptions{Level: &l.level}
	switch format {
	case "text":
		return func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, opts) }, nil
	case "json":
		return func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, opts) }, nil
	}
	return nil, cli.UsageErrorf("--log-format %q: want text or json", format)
}

// lostLine returns a function that writes the line about dropped lines.
func lostLine(handler func(io.Writer) slog.Handler) func(uint64) []byte {
	return func(n uint64) []byte {
		var b bytes.Buffer
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "the log is too slow or has no reader", 0)
		r.AddAttrs(slog.Uint64("lines_lost", n))
		handler(&b).Handle(context.Background(), r) //nolint:errcheck // a buffer takes it
		return b.Bytes()
	}
}

// openLogFile opens a log file for appending. Only its owner may read a new one:
// the log names functions, clients and errors.
func openLogFile(path string) (*os.File, error) {
	return logsink.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// reopen opens the log file again after logrotate has moved it away.
func (l *serveLog) reopen() {
	if l.path == "" {
		return
	}
	f, err := openLogFile(l.path)
	if err != nil {
		l.logger.Error("cannot reopen the log file; the old one stays in use", "file", l.path, "err", err)
		return
	}
	l.file.Redirect(f)
	l.opened.Close()
	l.opened = f
	l.logger.Info("log file reopened", "file", l.path)
}

// closeFunc is a function as an io.Closer.
type closeFunc func() error

func (f closeFunc) Close() error { return f() }

// syslogSockets are the paths on which syslog daemons listen.
var syslogSockets = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

// A syslogWriter sends each line to syslog as a datagram. Only one goroutine may use it.
type syslogWriter struct{ conn net.Conn }

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

func (w *syslogWriter) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if err := w.send(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// send sends a line. It opens a new connection if the old one is broken.
func (w *syslogWriter) send(line []byte) error {
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

// syslogHandler puts the head of RFC 3164 in front of each record: priority, time,
// program and process.
type syslogHandler struct {
	slog.Handler // writes into buf

	mu  *sync.Mutex
	buf *bytes.Buffer
	out io.Writer
}

func newSyslogHandler(out io.Writer, handler func(io.Writer) slog.Handler) *syslogHandler {
	buf := &bytes.Buffer{}
	return &syslogHandler{Handler: handler(buf), mu: &sync.Mutex{}, buf: buf, out: out}
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
