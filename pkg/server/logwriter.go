package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxLogLines is the maximum number of log lines that wait to be written.
	maxLogLines = 1 << 14
	// logGrace is how long Close waits for the log.
	logGrace = 2 * time.Second
)

// logLine is a log line that waits for the end of the turn.
type logLine struct {
	level slog.Level
	msg   string
	attrs []slog.Attr
}

// logWriter writes log lines in the order of the turns, so that nothing else in
// the server waits for a log that blocks. It has a goroutine while it has
// lines. While maxLogLines wait, it drops further lines and counts them.
type logWriter struct {
	log *slog.Logger

	mu    sync.Mutex
	notes []logLine
	lost  int
	busy  chan struct{} // closed when all lines are written; nil if none is being written
}

func (s *logWriter) init(log *slog.Logger) { s.log = log }

// addLines adds the log lines of a turn.
func (s *logWriter) addLines(notes []logLine) {
	if len(notes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if room := maxLogLines - len(s.notes); len(notes) > room {
		s.lost += len(notes) - room
		notes = notes[:room]
	}
	s.notes = append(s.notes, notes...)
	if s.busy == nil {
		s.busy = make(chan struct{})
		go s.writeLines()
	}
}

// writeLines writes until no line is left.
func (s *logWriter) writeLines() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.notes) > 0 {
		notes, lost := s.notes, s.lost
		s.notes, s.lost = nil, 0
		s.mu.Unlock()
		for _, n := range notes {
			s.log.LogAttrs(context.Background(), n.level, n.msg, n.attrs...)
		}
		if lost > 0 {
			s.log.Warn("the log is too slow", "lines lost", lost)
		}
		s.mu.Lock()
	}
	close(s.busy)
	s.busy = nil
}

// awaitWritten returns when all lines are written, or after d.
func (s *logWriter) awaitWritten(d time.Duration) {
	s.mu.Lock()
	busy := s.busy
	s.mu.Unlock()
	if busy != nil {
		waitFor(busy, d)
	}
}

// logNow logs a line outside of any turn. It does not wait for the log.
func (s *Server) logNow(level slog.Level, msg string, attrs ...slog.Attr) {
	if s.log.Enabled(context.Background(), level) {
		s.logWriter.addLines([]logLine{{level, msg, attrs}})
	}
}
