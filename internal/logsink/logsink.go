// Package logsink writes lines to writers that may be slow or stuck, without
// making the writer of a line wait.
package logsink

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A Sink passes lines on to a writer that may be slow, stuck or closed. Write only
// appends to a bounded buffer. A goroutine, started by New and stopped by Close,
// empties it. Lines that find the buffer full, and lines that the writer refuses, are
// dropped and counted. The next line that gets through follows a line with their
// number.
type Sink struct {
	lostLine func(n uint64) []byte // returns the line about n dropped lines

	mu      sync.Mutex
	pending []byte
	lines   uint64 // in pending
	dropped uint64 // since the last line about them
	to      io.Writer
	changes int // of to
	closed  bool

	wake    chan struct{} // has one element while pending or closed is new
	done    chan struct{} // closed when the goroutine has ended
	writing atomic.Bool   // a write to the writer is under way
}

const (
	// MaxPending is the maximum number of bytes of log lines in a buffer.
	MaxPending = 1 << 20
	// flushTime is how long Close, and a write after it, may take.
	flushTime = time.Second
)

// New returns a sink that writes to w. Close stops it. lostLine returns the line
// about n dropped lines.
func New(w io.Writer, lostLine func(n uint64) []byte) *Sink {
	s := &Sink{lostLine: lostLine, to: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// Write takes whole lines. It never blocks and never fails. After Close it
// writes itself, and gives up after flushTime.
func (s *Sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		if !s.writing.Load() {
			writeWithin(s.to, p, flushTime)
		}
		return len(p), nil
	case len(s.pending)+len(p) > MaxPending:
		s.dropped++
		return len(p), nil
	}
	s.pending = append(s.pending, p...)
	s.lines++
	s.signal()
	return len(p), nil
}

// hasRoom reports whether the buffer takes n more bytes.
func (s *Sink) hasRoom(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed || len(s.pending)+n <= MaxPending
}

// Redirect makes the sink write to another writer, and returns the one before. The caller
// may close that one: if a write to it fails now, the other writer gets the lines.
func (s *Sink) Redirect(w io.Writer) io.Writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.to
	s.to = w
	s.changes++
	return old
}

// Close writes the pending lines, for at most flushTime.
func (s *Sink) Close() error {
	s.mu.Lock()
	s.closed = true
	s.signal()
	s.mu.Unlock()
	late := time.NewTimer(flushTime)
	defer late.Stop()
	select {
	case <-s.done:
	case <-late.C:
	}
	return nil
}

// signal wakes the goroutine. The lock is held.
func (s *Sink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run writes until the sink is closed and empty.
func (s *Sink) run() {
	defer close(s.done)
	var spare []byte
	for range s.wake {
		s.mu.Lock()
		text, lines, dropped, to, changes, closed := s.pending, s.lines, s.dropped, s.to, s.changes, s.closed
		s.pending, s.lines, s.dropped = spare[:0], 0, 0
		s.writing.Store(true)
		s.mu.Unlock()
		lost := s.writeOut(to, text, lines, dropped)
		s.mu.Lock()
		if lost > 0 && s.changes != changes {
			to = s.to
			s.mu.Unlock()
			lost = s.writeOut(to, text, lines, dropped)
			s.mu.Lock()
		}
		s.dropped += lost
		s.writing.Store(false)
		more := len(s.pending) > 0
		s.mu.Unlock()
		spare = text
		if closed && !more {
			return
		}
	}
}

// writeOut writes lines, preceded by one about those dropped before, and returns
// how many have been lost by then.
func (s *Sink) writeOut(to io.Writer, text []byte, lines, dropped uint64) (lost uint64) {
	if dropped > 0 {
		if _, err := to.Write(s.lostLine(dropped)); err != nil {
			return dropped + lines
		}
	}
	if len(text) == 0 {
		return 0
	}
	if _, err := to.Write(text); err != nil {
		return lines
	}
	return 0
}

// writeWithin writes p to w and waits for that at most d.
func writeWithin(w io.Writer, p []byte, d time.Duration) {
	text := append([]byte(nil), p...)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Write(text) //nolint:errcheck // there is nowhere left to report it
	}()
	late := time.NewTimer(d)
	defer late.Stop()
	select {
	case <-done:
	case <-late.C:
	}
}
