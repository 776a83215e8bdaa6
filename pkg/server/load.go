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
	loadChunk  = 1000            // maximum number of records that are restored under one lock
	loadBytes  = 4 << 20         // maximum size of their payloads, in bytes
	loadReport = 5 * time.Second // time between two log lines about progress

	// After an error the store is read again, from the same place: after loadRetry, and
	// after twice as long each time that nothing new was read, up to maxLoadRetry.
	loadRetry    = 100 * time.Millisecond
	maxLoadRetry = 5 * time.Second
)

// loadStore reads the store while the server already works, and puts its jobs and extras
// into the queue. It runs in a goroutine of its own, until everything is read or the
// server is closed.
func (s *Server) loadStore() {
	began := time.Now()
	l := &loader{s: s, dead: deadLoader{s: s}, seen: make(map[string]struct{}), report: began.Add(loadReport)}
	stall := s.cfg.StoreTimeout + hangGrace
	l.stall = time.AfterFunc(stall, l.refuseWaiting)
	defer l.stall.Stop()
	err := l.readAll()
	for pause := loadRetry; err != nil && s.ctx.Err() == nil; err = l.readAll() {
		pause = l.noteReadError(err, pause)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
		}
	}
	l.endLoading(began, err)
}

// endLoading ends the loading. err is nil if everything was read; otherwise the server is
// closed, and err is the reason why it was not.
func (l *loader) endLoading(began time.Time, err error) {
	s := l.s
	s.mu.Lock()
	s.loading, s.own, s.endedLoading, s.unread.err = false, numbers{}, nil, nil
	for s.q.EndLoading(s.readTime(), loadChunk) {
		s.endTurn(nil)
		s.mu.Lock()
	}
	s.unread.endAll()
	clear(s.late)
	at, jobs := slog.String("store", s.cfg.StoreName), slog.Int("jobs", l.n)
	if err == nil {
		s.logAfterTurn(slog.LevelInfo, "restored", at, jobs, slog.Int("dead", s.q.Totals().Dead),
			slog.Duration("took", time.Since(began).Round(time.Millisecond)))
	} else {
		s.logAfterTurn(slog.LevelInfo, "the rest of the store is left to the next start", at, jobs)
	}
	s.endTurn(nil)
	s.restoredErr = err
	close(s.restored)
}

// noteReadError records an error of reading, and returns the wait before the next try.
func (l *loader) noteReadError(err error, last time.Duration) (pause time.Duration) {
	s := l.s
	s.mu.Lock()
	defer s.endTurn(nil)
	if pause = min(2*last, maxLoadRetry); l.progress || s.loadErr == nil {
		pause = loadRetry
	}
	l.progress = false
	s.loadErr = err
	if now := time.Now(); now.After(l.complain) {
		l.complain = now.Add(outageInterval * time.Millisecond)
		s.logAfterTurn(slog.LevelError, "cannot read the store to its end; reading goes on from the same place",
			slog.String("store", s.cfg.StoreName), slog.Int("jobs", l.n), slog.Any("err", err),
			slog.String("stack", stackOf(err)))
	}
	return pause
}

// refuseWaiting refuses the requests that wait for the jobs of the store. It is called
// when nothing has been read for a while, because that may take long.
func (l *loader) refuseWaiting() {
	s := l.s
	s.mu.Lock()
	defer s.endTurn(nil)
	if s.loading {
		s.unread.err = s.loadErr
		if s.unread.err == nil {
			s.unread.err = fmt.Errorf("store %s has not answered for %v", s.cfg.StoreName, s.cfg.StoreTimeout)
		}
		s.unread.endAll()
	}
}

// noteProgress records that something new was read. A store that fails at one place
// returns everything before that place again and again, which is no progress. The lock
// is held.
func (l *loader) noteProgress() {
	l.progress = true
	l.s.loadErr, l.s.unread.err = nil, nil
	l.stall.Reset(l.s.cfg.StoreTimeout + hangGrace)
}

// readAll reads the rest of the store.
func (l *loader) readAll() error {
	if !l.extrasRead {
		if err := l.readExtras(); err != nil {
			return fmt.Errorf("read extras: %w", err)
		}
	}
	err := l.replayStore()
	if ferr := l.restoreChunk(); err == nil {
		err = ferr
	}
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if err := l.readPrints(); err != nil {
		return fmt.Errorf("read payloads: %w", err)
	}
	return nil
}

// readPrints reads the payloads of jobs that have the unique "-", which stands for the
// payload, and were read without their payload. Without it submissions could not join
// these jobs.
func (l *loader) readPrints() error {
	s := l.s
	for len(l.unprinted) > 0 {
		j := l.unprinted[0]
		r := recordKey(j)
		payload, err := s.reader.ReadPayload(s.ctx, &r)
		if err != nil && !isLost(err) { // the worker that grabs a job without payload gets the error
			return err
		}
		s.mu.Lock()
		if err == nil && s.q.Has(r.Seq) {
			s.q.SetPrint(j, payload)
		}
		l.noteProgress()
		s.endTurn(nil)
		l.unprinted = l.unprinted[1:]
	}
	return nil
}

// readExtras reads all extras of the store. After an error it reads them again from the
// beginning, and skips those that it has restored.
func (l *loader) readExtras() error {
	s := l.s
	err := s.store.Extras(s.ctx, "", func(key string, value []byte) error {
		s.mu.Lock()
		defer s.endTurn(nil)
		if s.closed {
			return ErrClosed
		}
		if _, again := l.seen[key]; again {
			return nil
		}
		l.noteProgress()
		l.seen[key] = struct{}{}
		if err := s.restoreExtra(&l.dead, key, value); err != nil {
			s.leftOut(err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	l.extrasRead, l.seen = true, nil
	l.dead.restoreDead()
	s.mu.Lock()
	defer s.endTurn(nil)
	s.readTime()
	s.results.sortRestored()
	s.extrasRead, s.numbered = true, true
	s.commit.reserveNumbers()
	return nil
}

// restoreExtra restores one extra. The lock is held.
func (s *Server) restoreExtra(dead *deadLoader, key string, value []byte) error {
	switch {
	case strings.HasPrefix(key, deadKey):
		return dead.addDead(key, value)
	case strings.HasPrefix(key, resultKey):
		return s.results.restoreResult(key, value)
	case strings.HasPrefix(key, onceExtra):
		return s.results.restoreOnce(key, value)
	case strings.HasPrefix(key, policyKey):
		return s.restorePolicy(key, value)
	case strings.HasPrefix(key, functionKey):
		return s.restoreSettings(key, value)
	case key == store.NumberKey:
		n, err := store.ParseNumber(value)
		if !s.numbered { // otherwise this server has stored its own since
			s.q.RaiseSeq(n)
		}
		return err
	}
	return fmt.Errorf("extra %q: unknown", key)
}

// leftOut logs that a job or an extra cannot be restored. The lock is held.
func (s *Server) leftOut(err error) {
	s.logAfterTurn(slog.LevelError, "left out", slog.String("store", s.cfg.StoreName), slog.Any("err", err))
}

// loader reads the store and restores its records, some at a time.
type loader struct {
	s          *Server
	n          int
	chunk      []loaded
	size       int
	full       bool // the queue had no room for a payload
	report     time.Time
	extrasRead bool
	seen       map[string]struct{} // keys of the restored extras
	dead       deadLoader
	unprinted  []*queue.Job // see readPrints

	complain time.Time   // when the next error is logged
	progress bool        // something was read since the last error
	stall    *time.Timer // calls stalled
}

// loaded is a record. size is the size of its payload if that was left in the store.
type loaded struct {
	*store.Record
	size int
}

// errFull ends a replay with payloads when memory has no room for more.
var errFull = errors.New("no more payloads are wanted")

// replayStore reads the jobs with their payloads until the queue has no room for more
// payloads, and then without. A store returns most jobs in order, but not those that it
// finds in a wrong place. So isTaken recognizes the jobs of an earlier replay by their
// numbers.
func (l *loader) replayStore() error {
	if !l.full || l.s.reader == nil {
		err := l.s.store.Replay(l.s.ctx, func(r *store.Record) error {
			if l.full && l.s.reader != nil {
				return errFull
			}
			return l.addRecord(loaded{r, 0})
		})
		if err != errFull {
			return err
		}
	}
	return l.s.reader.ReplayHeads(l.s.ctx, func(r *store.Record, size int) error {
		return l.addRecord(loaded{r, size})
	})
}

func (l *loader) addRecord(r loaded) error {
	l.chunk = append(l.chunk, r)
	l.size += len(r.Payload)
	if len(l.chunk) < loadChunk && l.size < loadBytes {
		return nil
	}
	return l.restoreChunk()
}

func (l *loader) restoreChunk() error {
	s := l.s
	s.mu.Lock()
	defer s.endTurn(nil)
	if s.closed {
		return ErrClosed
	}
	now, isNew := s.readTime(), false
	for _, r := range l.chunk {
		if s.isTaken(r.Seq) {
			continue
		}
		isNew = true
		if err := l.restoreRecord(now, r); err != nil {
			s.leftOut(err)
			continue
		}
		s.own.noteRestored(r.Seq)
		l.n++
		s.unread.endJob(r.Record)
	}
	if isNew {
		l.noteProgress()
	}
	if wall := time.Now(); wall.After(l.report) {
		l.report = wall.Add(loadReport)
		s.logAfterTurn(slog.LevelInfo, "restoring", slog.String("store", s.cfg.StoreName), slog.Int("jobs", l.n))
	}
	clear(l.chunk)
	l.chunk, l.size = l.chunk[:0], 0
	return nil
}

// isTaken reports whether a job of the store is or was in the queue already, because it
// was accepted since the start or has been read before.
func (s *Server) isTaken(seq uint64) bool {
	_, gone := s.endedLoading[seq]
	return gone || s.own.has(seq) || s.q.Has(seq)
}

// restoreRecord puts the job of a record into the queue. If there is a dead letter with
// its number too, that one was retried just before the end of the last server, which
// had acknowledged the retry: so the job stays, and the dead letter is dropped.
func (l *loader) restoreRecord(now int64, r loaded) error {
	q := l.s.q
	j, err := q.RestoreHead(now, r.Record, r.size)
	if err != nil {
		dead := q.DeadLetterBySeq(r.Seq)
		if dead == nil || dead.Record.Function != r.Function {
			return err
		}
		q.DropDeadLetter(dead)
		j, err = q.RestoreHead(now, r.Record, r.size)
	}
	if err == nil {
		l.full = l.full || r.size == 0 && j.Spilled()
		if j.LacksPrint() {
			l.unprinted = append(l.unprinted, j)
		}
		l.s.giveBack(now, j)
	}
	return err
}

// numbers has the numbers of the jobs that were accepted since the start, in ascending
// ranges, to distinguish them from jobs of the store. Jobs of the store may have higher
// numbers: those of another server, which get a number when they are read, and those
// that were accepted before the clock was set back.
type numbers struct {
	ranges   []numberRange
	restored uint64 // the highest number of a restored job
}

type numberRange struct {
	first, last uint64
	closed      bool // restored jobs have higher numbers
}

// addNumber adds a number. The numbers of new jobs grow. A job that has become a
// background job later may have any number.
func (n *numbers) addNumber(seq uint64) {
	i, all := n.search(seq), n.ranges
	switch {
	case i < len(all) && all[i].first <= seq: // it has the number already
	case i < len(all):
		n.ranges = slices.Insert(all, i, numberRange{first: seq, last: seq, closed: true})
	case i > 0 && !all[i-1].closed:
		all[i-1].last = seq
	default:
		n.ranges = append(all, numberRange{first: seq, last: seq, closed: seq < n.restored})
	}
}

// search returns the first range that does not end before seq.
func (n *numbers) search(seq uint64) int {
	return sort.Search(len(n.ranges), func(i int) bool { return n.ranges[i].last >= seq })
}

// noteRestored records that a job with that number has been restored.
func (n *numbers) noteRestored(seq uint64) {
	n.restored = max(n.restored, seq)
	if i := len(n.ranges) - 1; i >= 0 && seq > n.ranges[i].last {
		n.ranges[i].closed = true
	}
}

// has reports whether seq was added.
func (n *numbers) has(seq uint64) bool {
	i := n.search(seq)
	return i < len(n.ranges) && n.ranges[i].first <= seq
}

// Restored returns when the server has read all jobs of the store, or returns the reason
// why it will not: the end of ctx or of the server.
func (s *Server) Restored(ctx context.Context) error {
	select {
	case <-s.restored:
		return s.restoredErr
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
