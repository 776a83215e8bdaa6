package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gm/pkg/queue"
	"gm/pkg/store"
	"gm/pkg/wire"
)

const (
	loadChunk     = 1000            // records that are taken in under one lock
	loadBytes     = 4 << 20         // or this much of their payloads
	loadReport    = 5 * time.Second // between two lines about progress
	readAhead     = 256             // payloads that are read ahead at a time
	rereadPayload = 200 * time.Millisecond
	rereadFor     = 10 * time.Second
)

// load takes in what the store has kept, while the server is already at work.
// It runs in a goroutine of its own.
func (s *Server) load() {
	began := time.Now()
	n, err := s.loadAll(began)
	s.mu.Lock()
	s.loading = false
	s.q.SetLoading(time.Now().UnixMilli(), false)
	if err != nil && !s.closed {
		s.note(slog.LevelError, "the store can't be read to its end; its other jobs come with the next start",
			slog.String("store", s.cfg.StoreName), slog.Int("jobs", n), slog.Any("err", err))
	} else {
		s.note(slog.LevelInfo, "restored", slog.String("store", s.cfg.StoreName), slog.Int("jobs", n),
			slog.Int("dead", s.q.Totals().Dead), slog.Duration("took", time.Since(began).Round(time.Millisecond)))
	}
	s.endTurn(nil)
	s.restoredErr = err
	close(s.restored)
}

func (s *Server) loadAll(began time.Time) (int, error) {
	err := s.cfg.Store.Extras(s.ctx, "", func(key string, value []byte) error {
		s.mu.Lock()
		defer s.endTurn(nil)
		if err := s.restoreExtra(key, value); err != nil {
			s.note(slog.LevelWarn, "left out", slog.String("store", s.cfg.StoreName), slog.Any("err", err))
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read extras: %w", err)
	}
	s.mu.Lock()
	s.results.sort()
	s.mu.Unlock()

	l := loader{s: s, report: began.Add(loadReport)}
	if err := s.cfg.Store.Replay(s.ctx, l.add); err != nil {
		return l.n, fmt.Errorf("replay: %w", err)
	}
	err = l.flush()
	return l.n, err
}

// restoreExtra takes one extra. The lock is held.
func (s *Server) restoreExtra(key string, value []byte) error {
	now := time.Now().UnixMilli()
	switch {
	case strings.HasPrefix(key, deadKey):
		return s.restoreDead(now, key, value)
	case strings.HasPrefix(key, resultKey):
		return s.results.restore(key, value)
	case strings.HasPrefix(key, policyKey):
		return s.restorePolicy(key, value)
	}
	return fmt.Errorf("extra %q: unknown", key)
}

// loader takes records in, some at a time.
type loader struct {
	s      *Server
	n      int
	chunk  []*store.Record
	size   int
	report time.Time
}

func (l *loader) add(r *store.Record) error {
	if r.Seq > l.s.firstSeq {
		return nil // accepted since the start: it is in the queue
	}
	l.chunk = append(l.chunk, r)
	l.size += len(r.Payload)
	if len(l.chunk) < loadChunk && l.size < loadBytes {
		return nil
	}
	return l.flush()
}

func (l *loader) flush() error {
	s := l.s
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	now := time.Now()
	for _, r := range l.chunk {
		if _, err := s.q.Restore(now.UnixMilli(), r); err != nil {
			s.note(slog.LevelError, "left out", slog.String("store", s.cfg.StoreName), slog.Any("err", err))
			continue
		}
		l.n++
	}
	if now.After(l.report) {
		l.report = now.Add(loadReport)
		s.note(slog.LevelInfo, "restoring", slog.String("store", s.cfg.StoreName), slog.Int("jobs", l.n))
	}
	s.endTurn(nil)
	clear(l.chunk)
	l.chunk, l.size = l.chunk[:0], 0
	return nil
}

// Restored returns when the store's jobs have all been taken in, or ctx is
// done, with what has prevented it.
func (s *Server) Restored(ctx context.Context) error {
	select {
	case <-s.restored:
		return s.restoredErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// assignSpilled reads the payload of a job that c has just grabbed, and then
// answers the grab. The lock is held.
func (c *conn) assignSpilled(j *queue.Job, grab wire.Type) {
	s := c.s
	slot := c.parked.add()
	r := store.Record{Seq: j.Seq(), Function: j.Function().Name(), Unique: string(j.Unique())}
	s.loads.Go(func() {
		payload, err := s.readPayload(&r)
		now := time.Now().UnixMilli()
		s.mu.Lock()
		defer s.endTurn(nil)
		switch {
		case s.closed || j.State() != queue.Running || j.Worker() != c.peer:
			c.answer(slot, wire.NoJob) // it was taken away meanwhile
		case err == nil:
			s.q.Loaded(j, payload)
			c.answerGrab(slot, j, grab)
		default:
			c.answer(slot, wire.NoJob)
			s.payloadLost(now, j, err)
		}
	})
}

// answerGrab answers a parked grab. The lock is held.
func (c *conn) answerGrab(slot uint64, j *queue.Job, grab wire.Type) {
	handle, function := []byte(j.Handle()), []byte(j.Function().Name())
	switch t := assignedBy(grab, j); t {
	case wire.JobAssign:
		c.answerShared(slot, t, j.Payload(), handle, function)
	case wire.JobAssignAll:
		c.answerShared(slot, t, j.Payload(), handle, function, j.Unique(), j.Reducer())
	default:
		c.answerShared(slot, t, j.Payload(), handle, function, j.Unique())
	}
}

// payloadLost ends a job whose payload the store does not have any more. If
// the store is only away, the job goes back.
func (s *Server) payloadLost(now int64, j *queue.Job, err error) {
	var corrupt *store.CorruptError
	s.q.Note(j, []byte("read payload: "+err.Error()))
	if errors.Is(err, store.ErrNotFound) || errors.As(err, &corrupt) {
		s.q.Bury(now, j)
		return
	}
	s.q.Retry(now, j)
}

// readPayload reads a payload. A store that is away is asked again for a
// while.
func (s *Server) readPayload(r *store.Record) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, rereadFor)
	defer cancel()
	var corrupt *store.CorruptError
	for {
		payload, err := s.reader.ReadPayload(ctx, r)
		if err == nil || errors.Is(err, store.ErrNotFound) || errors.As(err, &corrupt) {
			return payload, err
		}
		select {
		case <-time.After(rereadPayload):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// wantAhead starts a goroutine that reads payloads ahead, if there is one to
// be read and none is at it. The lock is held.
func (s *Server) wantAhead() {
	if s.reader == nil || s.aheadRuns || s.closed || s.q.Totals().Spilled == 0 {
		return
	}
	wanted := s.wantedAhead()
	if len(wanted) == 0 {
		return
	}
	s.aheadRuns = true
	s.loads.Go(func() { s.readAllAhead(wanted) })
}

type wantedJob struct {
	job    *queue.Job
	record store.Record
}

func (s *Server) wantedAhead() []wantedJob {
	var wanted []wantedJob
	s.q.Wanted(readAhead, func(j *queue.Job) bool {
		wanted = append(wanted, wantedJob{j, store.Record{
			Seq: j.Seq(), Function: j.Function().Name(), Unique: string(j.Unique()),
		}})
		return true
	})
	return wanted
}

// readAllAhead reads payloads until no more are wanted, or one can't be read:
// then the worker that grabs its job finds out why.
func (s *Server) readAllAhead(wanted []wantedJob) {
	for len(wanted) > 0 {
		var failed error
		payloads := make([][]byte, 0, len(wanted))
		for i := range wanted {
			payload, err := s.reader.ReadPayload(s.ctx, &wanted[i].record)
			if err != nil {
				failed = err
				break
			}
			payloads = append(payloads, payload)
		}
		s.mu.Lock()
		for i, payload := range payloads {
			s.q.Loaded(wanted[i].job, payload)
		}
		wanted = nil
		if failed == nil && !s.closed {
			wanted = s.wantedAhead()
		}
		s.aheadRuns = len(wanted) > 0
		s.endTurn(nil)
	}
}
