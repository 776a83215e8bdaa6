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

	// After an error the store is read again, from where it was: after loadRetry,
	// and twice as long each time that it gets no further, up to maxLoadRetry.
	loadRetry    = 100 * time.Millisecond
	maxLoadRetry = 5 * time.Second
)

// loadStore takes in what the store has kept, while the server is already at work.
// It runs in a goroutine of its own, until all is read or the server is closed.
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

// endLoading ends the loading: err is why it is not complete, as the server is closed.
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

// noteReadError notes an error of reading, and returns how long to wait before the next
// try.
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
		s.logAfterTurn(slog.LevelError, "the store can't be read to its end; it is tried again from there",
			slog.String("store", s.cfg.StoreName), slog.Int("jobs", l.n), slog.Any("err", err),
			slog.String("stack", stackOf(err)))
	}
	return pause
}

// refuseWaiting is called when nothing has been read for a while. What waits for it is
// refused then, because it may take long.
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

// noteProgress notes that something was read that was not read before: a store that
// fails at one place brings what precedes it again and again. The lock is held.
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

// readPrints reads the payloads of jobs that were brought without theirs and
// have the unique "-", which stands for the payload: submissions are to join
// them.
func (l *loader) readPrints() error {
	s := l.s
	for len(l.unprinted) > 0 {
		j := l.unprinted[0]
		r := recordKey(j)
		payload, err := s.reader.ReadPayload(s.ctx, &r)
		if err != nil && !isLost(err) { // of a lost one a worker hears
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

// readExtras reads what the store keeps beside the jobs. It has to be read whole:
// after an error it is read again, and what has been taken in is left out.
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

// restoreExtra takes one extra. The lock is held.
func (s *Server) restoreExtra(dead *deadLoader, key string, value []byte) error {
	switch {
	case strings.HasPrefix(key, deadKey):
		return dead.addDead(key, value)
	case strings.HasPrefix(key, resultKey):
		return s.results.restoreResult(key, value)
	case strings.HasPrefix(key, policyKey):
		return s.restorePolicy(key, value)
	case strings.HasPrefix(key, functionKey):
		return s.restoreSettings(key, value)
	case key == store.NumberKey:
		n, err := store.ParseNumber(value)
		if !s.numbered { // else it is this server's own by now
			s.q.RaiseSeq(n)
		}
		return err
	}
	return fmt.Errorf("extra %q: unknown", key)
}

// leftOut logs what can't be restored. The lock is held.
func (s *Server) leftOut(err error) {
	s.logAfterTurn(slog.LevelError, "left out", slog.String("store", s.cfg.StoreName), slog.Any("err", err))
}

// loader takes records in, some at a time.
type loader struct {
	s          *Server
	n          int
	chunk      []loaded
	size       int
	full       bool // the queue has dropped a payload that it was brought
	report     time.Time
	extrasRead bool
	seen       map[string]struct{} // keys of extras that were taken in
	dead       deadLoader
	unprinted  []*queue.Job // see readPrints

	complain time.Time   // when the log has the next error
	progress bool        // something was read since the last error
	stall    *time.Timer // calls stalled
}

// loaded is a record. If its payload is left in the store, size is that.
type loaded struct {
	*store.Record
	size int
}

// errFull ends a replay with payloads.
var errFull = errors.New("no more payloads are wanted")

// replayStore brings payloads until the queue can't keep them, and then only heads:
// what would be dropped again need not be brought. A store brings most jobs in
// order, but not those that it finds in a wrong place: so what was brought
// before is known by its number, see isTaken.
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

// isTaken reports whether a job of the store is in the queue already, or was and
// has ended: it was accepted since the start, or has been read before.
func (s *Server) isTaken(seq uint64) bool {
	_, gone := s.endedLoading[seq]
	return gone || s.own.has(seq) || s.q.Has(seq)
}

// restoreRecord takes one record in. One that is a dead letter too was retried
// just before the last server's end, which was acknowledged: it is a job.
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

// numbers are those of jobs that were accepted since the start, in ascending
// ranges, so that the store's jobs can be told from them. The store's may be
// the higher ones: another server's, which got their number when they were
// read, or those of a time that the clock now says is still to come.
type numbers struct {
	ranges   []numberRange
	restored uint64 // the highest number of a restored job
}

type numberRange struct {
	first, last uint64
	closed      bool // restored jobs have higher numbers
}

// addNumber adds a number. Those of fresh jobs grow; a job that has become a
// background one later may have any number.
func (n *numbers) addNumber(seq uint64) {
	i, all := n.search(seq), n.ranges
	switch {
	case i < len(all) && all[i].first <= seq: // it is one of them
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

// noteRestored notes that a job with that number has been restored.
func (n *numbers) noteRestored(seq uint64) {
	n.restored = max(n.restored, seq)
	if i := len(n.ranges) - 1; i >= 0 && seq > n.ranges[i].last {
		n.ranges[i].closed = true
	}
}

// has reports whether seq is one of them.
func (n *numbers) has(seq uint64) bool {
	i := n.search(seq)
	return i < len(n.ranges) && n.ranges[i].first <= seq
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
