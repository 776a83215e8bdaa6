package server

import (
	"context"
	"fmt"
	"log/slog"

	"gm/pkg/queue"
)

// Shutdown stops the server gracefully: it accepts no more connections and no more jobs,
// and waits until the jobs that can still end have ended and their clients have the
// results, or until ctx is done. Then it closes the server as [Server.Close] does.
//
// A server in memory still hands out waiting jobs that its workers can do, because they
// would be lost. A server with a store does so only for foreground jobs; the background
// jobs wait for its next start.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	if !s.draining {
		s.draining = true
		s.logAfterTurn(slog.LevelInfo, "draining", slog.Int("jobs", s.q.Len()))
		s.closeListeners()
	}
	s.endTurn(nil)

	var err error
	select {
	case <-s.drained:
	case <-s.ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return err
}

// checkDrained closes drained when no job is left to wait for. The lock is held.
func (s *Server) checkDrained() {
	select {
	case <-s.drained:
		return
	default:
	}
	if s.q.Totals().Running > 0 || s.handsOut() && s.q.Ready() || !s.handsOut() && s.q.ReadyForeground() {
		return
	}
	close(s.drained)
}

// handsOut reports whether workers get background jobs too, and not only foreground
// ones. The lock is held.
func (s *Server) handsOut() bool { return !s.draining || s.commit == nil }

// Close stops the server at once. It sends the pending replies and closes the
// connections, without waiting for running jobs. When Close returns, all acknowledged
// background jobs are in the store; without a store they are lost. Every call returns
// when the server has ended, with the error of the store.
func (s *Server) Close() error { return s.closeOnce() }

// close is the first call of Close. The order matters: after closed is set no packet is
// applied, so that the last batch of the journal is complete; then the connections get
// the replies of that batch; then no goroutine uses the store any more.
func (s *Server) close() error {
	s.mu.Lock()
	s.closed, s.draining = true, true
	s.closeListeners()
	jobs := s.q.Len()
	s.lostJobs = s.countUnstored()
	var conns []*conn
	s.conns.after(nil, func(c *conn) bool {
		conns = append(conns, c)
		return true
	})
	close(s.ended)
	s.cancel()
	s.stopSamples()
	s.peers.Close()
	s.endTurn(nil)

	for _, c := range conns {
		s.wg.Go(c.hangUp)
	}
	err := s.closeStore(conns)
	s.wg.Wait()
	s.timer.Stop()
	if s.poller != nil {
		s.poller.Stop()
	}
	if jobs > 0 && s.commit == nil {
		s.logNow(slog.LevelWarn, "stopped; the jobs that waited in memory are lost", slog.Int("jobs", jobs))
	} else {
		s.logNow(slog.LevelInfo, "stopped", slog.Int("jobs", jobs), slog.Int("lost", s.LostJobs()))
	}
	s.logWriter.awaitWritten(logGrace)
	return err
}

// LostJobs returns the number of jobs that were lost with the server, because no
// store has them: all jobs without a store, the foreground ones with a store. It
// returns 0 before the server has been stopped.
func (s *Server) LostJobs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lostJobs
}

// countUnstored returns the number of jobs that are only in memory, without those whose
// result would be discarded. The lock is held.
func (s *Server) countUnstored() (n int) {
	s.q.Jobs(func(j *queue.Job) bool {
		if !j.Ignored() && (s.commit == nil || !j.Background()) {
			n++
		}
		return true
	})
	return n
}

// closeStore stops all goroutines that use the store, and closes it. It gives up a store
// that does not answer, so that Close does not wait for ever; the goroutine that waits
// for that store closes it in the end.
func (s *Server) closeStore(conns []*conn) error {
	if s.commit != nil {
		s.commit.stopCommits()
	}
	closed := make(chan error, 1)
	if s.loads.endThen(func() { closed <- s.store.Close() }, storeGrace+hangGrace) {
		return <-closed
	}
	err := fmt.Errorf("store %s does not answer", s.cfg.StoreName)
	s.logNow(slog.LevelError, "the store is left open", slog.Any("err", err))
	s.mu.Lock()
	for _, c := range conns {
		c.parked.callSent()
	}
	s.endTurn(nil)
	return err
}

// verbosity returns the log level, as gearmand names it.
func (s *Server) verbosity() string {
	for _, v := range []struct {
		level slog.Level
		name  string
	}{{slog.LevelDebug, "DEBUG"}, {slog.LevelInfo, "INFO"}, {slog.LevelWarn, "WARNING"}} {
		if s.log.Enabled(context.Background(), v.level) {
			return v.name
		}
	}
	return "ERROR"
}
