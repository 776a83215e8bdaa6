package server

import (
	"context"
	"log/slog"
	"sync"
)

// maxNotes is how many log lines may wait to be written.
const maxNotes = 1 << 14

// note is a log line that waits for the end of the turn.
type note struct {
	level slog.Level
	msg   string
	attrs []slog.Attr
}

// scribe writes log lines in the order of the turns, so that nobody else waits
// for a log that blocks. It has a goroutine while it has lines. What comes when
// too many wait is lost, and counted.
type scribe struct {
	log *slog.Logger

	mu    sync.Mutex
	notes []note
	lost  int
	busy  bool
	idle  sync.Cond
}

func (s *scribe) init(log *slog.Logger) {
	s.log = log
	s.idle.L = &s.mu
}

// take takes the lines of a turn.
func (s *scribe) take(notes []note) {
	if len(notes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.notes)+len(notes) > maxNotes {
		s.lost += len(notes)
		return
	}
	s.notes = append(s.notes, notes...)
	if !s.busy {
		s.busy = true
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
	s.busy = false
	s.idle.Broadcast()
}

// wait returns when all is written.
func (s *scribe) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.busy {
		s.idle.Wait()
	}
}
