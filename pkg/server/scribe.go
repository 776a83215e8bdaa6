package server

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxNotes is the maximum number of log lines that wait to be written.
	maxNotes = 1 << 14
	// logGrace is how long Close waits for the log.
	logGrace = 2 * time.Second
)

// note is a log line that waits for the end of the turn.
type note struct {
	level slog.Level
	msg   string
	attrs []slog.Attr
}

// scribe writes log lines in the order of the turns, so that nothing else in
// the server waits for a log that blocks. It has a goroutine while it has
// lines. It drops and counts the lines that come while maxNotes wait.
type scribe struct {
	log *slog.Logger

	mu    sync.Mutex
	notes []note
	lost  int
	busy  chan struct{} // closed when all is written; nil if nothing is being written
}

func (s *scribe) init(log *slog.Logger) { s.log = log }

// take takes the lines of a turn.
func (s *scribe) take(notes []note) {
	if len(notes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if room := maxNotes - len(s.notes); len(notes) > room {
		s.lost += len(notes) - room
		notes = notes[:room]
	}
	s.notes = append(s.notes, notes...)
	if s.busy == nil {
		s.busy = make(chan struct{})
		go s.write()
	}
}

// write writes until there is nothing left.
func (s *scribe) write() {
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

// wait returns when all is written, or after d.
func (s *scribe) wait(d time.Duration) {
	s.mu.Lock()
	busy := s.busy
	s.mu.Unlock()
	if busy != nil {
		waitFor(busy, d)
	}
}

// say logs a line outside of any turn. It does not wait for the log.
func (s *Server) say(level slog.Level, msg string, attrs ...slog.Attr) {
	if s.log.Enabled(context.Background(), level) {
		s.scribe.take([]note{{level, msg, attrs}})
	}
}
