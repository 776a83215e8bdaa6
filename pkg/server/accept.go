package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

const (
	// acceptAtOnce is the number of failed accepts in a row after which the
	// accept loop begins to pause: an error may belong to one connection that
	// was given up by its peer, and the next one may be fine.
	acceptAtOnce = 16
	// The pauses double from leastAcceptPause to mostAcceptPause.
	leastAcceptPause = 5 * time.Millisecond
	mostAcceptPause  = time.Second
)

// acceptAll serves the connections of l until l is closed. Every other error
// passes by itself: a connection that was aborted (ECONNABORTED, EPROTO), a
// firewall rule (EPERM), a lack of descriptors or memory (EMFILE, ENOBUFS).
func (s *Server) acceptAll(l net.Listener) error {
	for failed := 0; ; {
		nc, err := l.Accept()
		switch {
		case err == nil:
			failed = 0
			s.start(nc)
			continue
		case s.isClosing():
			return ErrClosed
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		failed++
		s.logAcceptError(l, err)
		select {
		case <-time.After(acceptPause(failed)):
		case <-s.ended:
			return ErrClosed
		}
	}
}

// acceptPause returns the pause after that many failed accepts in a row.
func acceptPause(failed int) time.Duration {
	if failed <= acceptAtOnce {
		return 0
	}
	doublings := min(failed-acceptAtOnce-1, 10)
	return min(leastAcceptPause<<doublings, mostAcceptPause)
}

// logAcceptError logs a failed accept, at most as often as noteSampled allows.
func (s *Server) logAcceptError(l net.Listener, err error) {
	s.mu.Lock()
	s.noteSampled(acceptFailed, slog.LevelWarn, "accept",
		slog.String("addr", l.Addr().String()), slog.Any("err", err))
	s.endTurn(nil)
}
