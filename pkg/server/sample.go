package server

import (
	"log/slog"
	"time"
)

// noteKind is a kind of log line that peers can cause as often as they like.
type noteKind uint8

const (
	peerDropped noteKind = iota
	acceptFailed
	jobsWithheld
	noteKinds
)

const (
	// sampleBurst is the maximum number of lines of a kind in an interval.
	sampleBurst = 20
	// sampleInterval is the length of an interval. Further lines in it are counted,
	// and not logged.
	sampleInterval = 10 * time.Second
)

// sample limits the log lines of one kind. Server.mu guards it.
type sample struct {
	logged     int
	suppressed int
	msg        string
	timer      *time.Timer // ends the interval; nil before the first line
	running    bool
}

// logSampled is note for a line that peers can cause without limit: of each
// kind sampleBurst lines in an interval are logged, and then one line with the
// number of those that were not. The lock is held.
func (s *Server) logSampled(kind noteKind, level slog.Level, msg string, attrs ...slog.Attr) {
	one := &s.samples[kind]
	if one.logged >= sampleBurst {
		one.suppressed++
		one.msg = msg
		return
	}
	one.logged++
	s.logAfterTurn(level, msg, attrs...)
	if one.running || s.closed {
		return
	}
	one.running = true
	if one.timer == nil {
		one.timer = time.AfterFunc(sampleInterval, func() { s.endSample(kind) })
	} else {
		one.timer.Reset(sampleInterval)
	}
}

// endSample ends the interval of a kind.
func (s *Server) endSample(kind noteKind) {
	s.mu.Lock()
	defer s.endTurn(nil)
	s.flushSample(kind)
}

// flushSample logs how many lines of a kind were suppressed, and begins anew.
// The lock is held.
func (s *Server) flushSample(kind noteKind) {
	one := &s.samples[kind]
	if one.suppressed > 0 {
		s.logAfterTurn(slog.LevelWarn, "log lines suppressed", slog.String("line", one.msg), slog.Int("suppressed", one.suppressed))
	}
	one.logged, one.suppressed, one.running = 0, 0, false
}

// stopSamples logs the counts of suppressed lines and stops the timers. The lock is held.
func (s *Server) stopSamples() {
	for kind := range noteKinds {
		if one := &s.samples[kind]; one.timer != nil {
			one.timer.Stop()
			s.flushSample(kind)
		}
	}
}
