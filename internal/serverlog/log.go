// Package serverlog opens the log of a server: on stderr, in a file that can be
// reopened, in syslog, or in several of them. A log that is slow, full or without a
// reader never makes the server wait; its lines are dropped and counted.
package serverlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"gm/internal/logsink"
)

// Options says where a log goes. Without Stderr, File and Syslog its lines are dropped.
type Options struct {
	Level  slog.Level
	JSON   bool      // JSON instead of text
	Output io.Writer // the stderr of the process
	Stderr bool      // log to Output
	File   string    // append to this file; "" means that the log has no file
	Syslog bool      // log to the syslog of this machine, as facility daemon
}

// Log is an open log. Its logger is safe for concurrent use, its methods are not.
type Log struct {
	Logger *slog.Logger
	// Level is the lowest level of lines. It may change at any time.
	Level slog.LevelVar
	// Stderr writes to Options.Output without waiting.
	Stderr *logsink.Sink

	json    bool
	path    string        // of the log file; empty without one
	file    *logsink.Sink // of path
	opened  *os.File      // to which file writes
	closers []io.Closer
}

// ParseLevel returns a level by its name in gearmand's words or in those of slog.
func ParseLevel(word string) (level slog.Level, known bool) {
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

// Open opens a log. An error of the file is an [*fs.PathError], one of syslog is a
// [*net.OpError]. The caller must close the log.
func Open(o Options) (*Log, error) {
	l := &Log{json: o.JSON}
	l.Level.Set(o.Level)
	l.Stderr = l.newSink(o.Output, l.newHandler)
	var handlers []slog.Handler
	if o.Stderr {
		handlers = append(handlers, l.newHandler(l.Stderr))
	}
	if o.File != "" {
		h, err := l.openFile(o.File)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open log: %w", err), l.Close())
		}
		handlers = append(handlers, h)
	}
	if o.Syslog {
		h, err := l.openSyslog()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open syslog: %w", err), l.Close())
		}
		handlers = append(handlers, h)
	}
	if len(handlers) == 0 {
		handlers = append(handlers, l.newHandler(io.Discard)) // it knows the level
	}
	l.Logger = slog.New(slog.NewMultiHandler(handlers...))
	return l, nil
}

// openFile returns a handler that writes to a file.
func (l *Log) openFile(path string) (slog.Handler, error) {
	f, err := openLogFile(path)
	if err != nil {
		return nil, err
	}
	l.path, l.opened = path, f
	l.file = l.newSink(f, l.newHandler)
	return l.newHandler(l.file), nil
}

// openSyslog returns a handler that writes to syslog.
func (l *Log) openSyslog() (slog.Handler, error) {
	w := &syslogWriter{}
	if err := w.dial(); err != nil {
		return nil, err
	}
	newHandler := func(w io.Writer) slog.Handler { return newSyslogHandler(w, l.newHandler) }
	return newHandler(l.newSink(w, newHandler)), nil
}

// newHandler returns a handler with the level and the format of the log.
func (l *Log) newHandler(w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: &l.Level}
	if l.json {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// newSink returns a sink that writes to w. The handler writes the line about dropped
// lines.
func (l *Log) newSink(w io.Writer, newHandler func(io.Writer) slog.Handler) *logsink.Sink {
	sink := logsink.New(w, LostLine(newHandler))
	l.closers = append(l.closers, sink)
	return sink
}

// LostLine returns the function that makes the line about dropped lines of a
// [logsink.Sink], with the format of newHandler.
func LostLine(newHandler func(io.Writer) slog.Handler) func(uint64) []byte {
	return func(n uint64) []byte {
		var b bytes.Buffer
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "the log is too slow or has no reader", 0)
		r.AddAttrs(slog.Uint64("lines_lost", n))
		newHandler(&b).Handle(context.Background(), r) //nolint:errcheck // a buffer accepts all bytes
		return b.Bytes()
	}
}

// Reopen opens the log file again after another program, such as logrotate, has moved it
// away. It logs whether that succeeds.
func (l *Log) Reopen() {
	if l.path == "" {
		return
	}
	f, err := openLogFile(l.path)
	if err != nil {
		l.Logger.Error("cannot reopen the log file; the old one stays in use", "file", l.path, "err", err)
		return
	}
	l.file.Redirect(f)
	l.opened.Close()
	l.opened = f
	l.Logger.Info("log file reopened", "file", l.path)
}

// Close writes the pending lines, each sink for at most a second, and closes the file.
func (l *Log) Close() error {
	var errs []error
	for _, c := range l.closers {
		errs = append(errs, c.Close())
	}
	if l.opened != nil {
		errs = append(errs, l.opened.Close())
	}
	return errors.Join(errs...)
}

// openLogFile opens a log file for appending. Only its owner may read a new one: the log
// names functions, clients and errors.
func openLogFile(path string) (*os.File, error) {
	return logsink.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}
