package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"time"

	"gm/pkg/queue"
	"gm/pkg/store"
)

const (
	loadChunk  = 1000            // records that are taken in under one lock
	loadBytes  = 4 << 20         // or this much of their payloads
	loadReport = 5 * time.Second // between two lines about progress
)

// load takes in what the store has kept, while the server is already at work.
// It runs in a goroutine of its own.
func (s *Server) load() {
	began := time.Now()
	n, err := s.loadAll(began)
	s.mu.Lock()
	s.loading, s.own = false, nil
	for s.q.EndLoading(s.readTime(), loadChunk) {
		s.endTurn(nil)
		s.mu.Lock()
	}
	at, jobs := slog.String("store", s.cfg.StoreName), slog.Int("jobs", n)
	switch {
	case err == nil:
		s.note(slog.LevelInfo, "restored", at, jobs, slog.Int("dead", s.q.Totals().Dead),
			slog.Duration("took", time.Since(began).Round(time.Millisecond)))
	case s.closed:
		s.note(slog.LevelInfo, "the rest of the store is left to the next start", at, jobs)
	default:
		s.note(slog.LevelError, "the store can't be read to its end; its other jobs come with the next start",
			at, jobs, slog.Any("err", err))
	}
	s.endTurn(nil)
	s.restoredErr = err
	close(s.restored)
}

func (s *Server) loadAll(began time.Time) (int, error) {
	g := graves{s: s}
	err := s.store.Extras(s.ctx, "", func(key string, value []byte) error {
		s.mu.Lock()
		defer s.endTurn(nil)
		if s.closed {
			return ErrClosed
		}
		if err := s.restoreExtra(&g, key, value); err != nil {
			s.leftOut(err)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read extras: %w", err)
	}
	g.restore()
	s.mu.Lock()
	s.readTime()
	s.results.settle()
	s.endTurn(nil)

	l := loader{s: s, report: began.Add(loadReport)}
	if err := l.replay(); err != nil {
		return l.n, fmt.Errorf("replay: %w", err)
	}
	err = l.flush()
	return l.n, err
}

// restoreExtra takes one extra. The lock is held.
func (s *Server) restoreExtra(g *graves, key string, value []byte) error {
	switch {
	case strings.HasPrefix(key, deadKey):
		return g.add(key, value)
	case strings.HasPrefix(key, resultKey):
		return s.results.restore(key, value)
	case strings.HasPrefix(key, policyKey):
		return s.restorePolicy(key, value)
	case strings.HasPrefix(key, functionKey):
		return s.restoreSettings(key, value)
	case key == numberKey:
		n, err := parseNumber(value)
		if !s.numbered { // else it is this server's own by now
			s.q.RaiseSeq(n)
		}
		return err
	}
	return fmt.Errorf("extra %q: unknown", key)
}

// leftOut logs what can't be restored. The lock is held.
func (s *Server) leftOut(err error) {
	s.note(slog.LevelError, "left out", slog.String("store", s.cfg.StoreName), slog.Any("err", err))
}

// loader takes records in, some at a time.
type loader struct {
	s      *Server
	n      int
	chunk  []loaded
	size   int
	report time.Time
	full   bool   // the queue has dropped a payload that it was brought
	last   uint64 // the number of the last record
}

// loaded is a record. If its payload is left in the store, size is that.
type loaded struct {
	*store.Record
	size int
}

// errFull ends a replay with payloads.
var errFull = errors.New("no more payloads are wanted")

// replay brings payloads until the queue can't keep them, and then only heads:
// what would be dropped again need not be brought.
func (l *loader) replay() error {
	err := l.s.store.Replay(l.s.ctx, func(r *store.Record) error {
		if l.full && l.s.reader != nil {
			return errFull
		}
		return l.add(loaded{r, 0})
	})
	if err != errFull {
		return err
	}
	seen := l.last
	return l.s.reader.ReplayHeads(l.s.ctx, func(r *store.Record, size int) error {
		if r.Seq <= seen {
			return nil
		}
		return l.add(loaded{r, size})
	})
}

func (l *loader) add(r loaded) error {
	l.last = r.Seq
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
	defer s.endTurn(nil)
	if s.closed {
		return ErrClosed
	}
	now := time.Now()
	for _, r := range l.chunk {
		if s.own.has(r.Seq) {
			continue // accepted since the start: it is in the queue, or has ended
		}
		if err := l.restore(s.readTime(), r); err != nil {
			s.leftOut(err)
			continue
		}
		s.own.passed(r.Seq)
		l.n++
	}
	if now.After(l.report) {
		l.report = now.Add(loadReport)
		s.note(slog.LevelInfo, "restoring", slog.String("store", s.cfg.StoreName), slog.Int("jobs", l.n))
	}
	clear(l.chunk)
	l.chunk, l.size = l.chunk[:0], 0
	return nil
}

// restore takes one record in. One that is in the dead list too was revived
// just before the last server's end, which was acknowledged: it is a job.
func (l *loader) restore(now int64, r loaded) error {
	j, err := l.s.q.RestoreHead(now, r.Record, r.size)
	if err == nil {
		l.full = l.full || r.size == 0 && j.Spilled()
		return nil
	}
	var dead *queue.Dead
	l.s.q.Dead(r.Function, func(d *queue.Dead) bool {
		if d.Record.Seq == r.Seq {
			dead = d
		}
		return dead == nil
	})
	if dead == nil {
		return err
	}
	l.s.q.Forget(dead)
	_, err = l.s.q.RestoreHead(now, r.Record, r.size)
	return err
}

// numbers are those of jobs that were accepted since the start, in ascending
// ranges, so that the store's jobs can be told from them. The store's may be
// the higher ones: another server's, which got their number when they were
// read, or those of a time that the clock now says is still to come.
type numbers []numberRange

type numberRange struct {
	first, last uint64
	closed      bool // restored jobs have higher numbers
}

// add adds a number. Those of fresh jobs grow; a job that has become a
// background one later may have any number.
func (n *numbers) add(seq uint64) {
	i := n.search(seq)
	switch all := *n; {
	case i < len(all) && all[i].first <= seq: // it is one of them
	case i < len(all):
		*n = slices.Insert(all, i, numberRange{first: seq, last: seq, closed: true})
	case i > 0 && !all[i-1].closed:
		all[i-1].last = seq
	default:
		*n = append(all, numberRange{first: seq, last: seq})
	}
}

// search returns the first range that does not end before seq.
func (n numbers) search(seq uint64) int {
	return sort.Search(len(n), func(i int) bool { return n[i].last >= seq })
}

// passed notes that a job with that number has been restored.
func (n numbers) passed(seq uint64) {
	if i := len(n) - 1; i >= 0 && seq > n[i].last {
		n[i].closed = true
	}
}

// has reports whether seq is one of them.
func (n numbers) has(seq uint64) bool {
	i := n.search(seq)
	return i < len(n) && n[i].first <= seq
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
