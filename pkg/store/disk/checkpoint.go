package disk

import (
	"encoding/binary"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
)

// sealSegment seals the active segment and makes the other one active. If the
// other one is still sealed, it is first written into the file. commitMu is
// held.
func (s *Store) sealSegment() error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if err := s.checkpoint(); err != nil {
		return err
	}
	s.wal.sealActive()
	return nil
}

// rotate seals the active segment, and starts writing it into the file. commitMu
// is held.
func (s *Store) rotate() error {
	if err := s.sealSegment(); err != nil {
		return err
	}
	if s.ctx.Err() == nil {
		s.wg.Go(func() { _ = s.waitCheckpoint() })
	}
	return nil
}

// waitCheckpoint writes the sealed segment into the file, or waits until
// another goroutine has done so.
func (s *Store) waitCheckpoint() error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.checkpoint()
}

// flushLogLocked writes the whole log into the file. commitMu is held.
func (s *Store) flushLogLocked() error {
	if s.wal.empty() {
		return nil
	}
	if err := s.sealSegment(); err != nil {
		return err
	}
	return s.waitCheckpoint()
}

// flushLog writes the whole log into the file, for a reading of the file.
// Commits go on meanwhile.
func (s *Store) flushLog() error {
	err := s.use(func(*engine) error { return nil })
	if err != nil {
		return err
	}
	s.commitMu.Lock()
	if !s.wal.empty() {
		err = s.sealSegment()
	}
	s.commitMu.Unlock()
	if err != nil {
		return err
	}
	return s.waitCheckpoint()
}

const (
	// flushAfter is the maximum time that a batch is only in the log.
	flushAfter = time.Second
	// reportStuck is the minimum time between two log lines on a failure to
	// write the log into the file.
	reportStuck = time.Minute
)

// flushLate writes the log into the file a while after a commit, until the store
// is closed.
func (s *Store) flushLate() {
	for {
		select {
		case <-s.appended:
		case <-s.ctx.Done():
			return
		}
		select {
		case <-time.After(flushAfter):
		case <-s.ctx.Done():
			return
		}
		_ = s.flushLog()
	}
}

// checkpoint writes the sealed segment, if there is one, into the file. It leaves
// out the Add of a job that ends in the same segment. fileMu is held.
func (s *Store) checkpoint() error {
	g := s.wal.sealedSegment()
	if g == nil {
		return nil
	}
	s.logged = g.entries(s.logged[:0])
	highest := highestOf(s.logged)
	t := transaction{entries: withoutEnded(s.logged), highest: highest, mark: g.last, parts: true, scattered: g.need.scattered}
	put := func(e *engine) error {
		if err := s.writeTransaction(e, &t); err != nil {
			return err
		}
		s.compactSoon(e)
		return nil
	}
	err := s.use(put)
	if boltfile.IsPanic(err) {
		err = s.use(put) // into the salvaged file
	}
	clear(s.logged)
	switch {
	case err == nil:
		s.wal.release(g)
	case time.Since(s.stuck) >= reportStuck:
		s.stuck = time.Now()
		s.base.Log.Warn("the last batches stay in the log", "err", err)
	}
	return err
}

// highestOf returns the highest number of a job that entries add, or 0.
func highestOf(entries []entry) (highest uint64) {
	for i := range entries {
		if x := &entries[i]; x.kind == store.Add {
			highest = max(highest, seqOf(x.key))
		}
	}
	return highest
}

// withoutEnded removes the Adds of jobs that later entries end. The ends stay:
// an earlier attempt to write may have added the jobs.
func withoutEnded(entries []entry) []entry {
	ends := make(map[uint64]int) // index of a job's end
	for i := range entries {
		if x := &entries[i]; x.kind == store.Done {
			ends[seqOf(x.key)] = i
		}
	}
	if len(ends) == 0 {
		return entries
	}
	kept := entries[:0]
	for i, x := range entries {
		if end, ok := ends[seqOf(x.key)]; ok && x.kind == store.Add && i < end {
			continue
		}
		kept = append(kept, x)
	}
	return kept
}

// recoverLog opens the log, and writes the batches of a process that did not
// close the store into e. mu is held.
func (s *Store) recoverLog(e *engine) (*wal, error) {
	w, err := openWAL(&s.files, s.walFile, s.cfg.Sync != store.SyncAlways)
	if err != nil {
		return nil, err
	}
	mark, err := readMark(e)
	if err == nil {
		err = s.recoverBatches(e, w, mark)
	}
	if err == nil {
		err = s.files.SyncDir(s.cfg.Dir) // the files may be new
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	if !w.files {
		s.base.Log.Warn("no room for a log: commits take longer")
		_, err0 := s.files.Remove(s.walFile(0))
		_, err1 := s.files.Remove(s.walFile(1))
		if err := errors.Join(w.close(), err0, err1); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (s *Store) recoverBatches(e *engine, w *wal, mark uint64) error {
	var entries []entry
	err := e.ViewTx(func(tx *bolt.Tx) error {
		s.pieces.Store(lastPiece(tx))
		return nil
	})
	if err != nil {
		return err
	}
	frames := w.readFrames(mark, s.base.Skip)
	w.number = mark
	for _, f := range frames {
		entries = append(entries, f.entries...)
		w.number = f.number
	}
	if len(frames) > 0 {
		highest := highestOf(entries)
		e.sealing.sealEntries(entries)
		if err := s.writeTransaction(e, &transaction{entries: withoutEnded(entries), highest: highest, mark: w.number, parts: true}); err != nil {
			return err
		}
		s.base.Log.Info("log read", "batches", len(frames), "entries", len(entries))
	}
	if err := s.syncFile(e); err != nil {
		return err
	}
	return w.start(e.sealing)
}

// syncFile writes e to the disk, before the log forgets its batches.
func (s *Store) syncFile(e *engine) error {
	if s.cfg.Sync != store.SyncNever {
		return nil // each transaction did
	}
	return e.Sync()
}

// forgetLog empties the log, all of whose batches e has.
func (s *Store) forgetLog(e *engine, w *wal) error {
	if err := s.syncFile(e); err != nil {
		return err
	}
	return w.eraseFrom(walHeader)
}

// readMark returns the number of the log's last frame that e has, or 0 if it
// cannot be read.
func readMark(e *engine) (mark uint64, err error) {
	err = e.view(func(snap *snapshot) error {
		extras, err := snap.Bucket(extrasBucket)
		if err != nil {
			return err
		}
		value, err := extras.Get([]byte(markKey))
		if err == nil {
			value, err = snap.sealing.unseal(extrasName, []byte(markKey), value)
		}
		if err == nil && len(value) == 8 {
			mark = binary.BigEndian.Uint64(value)
		}
		if boltfile.IsReadError(err) {
			return err
		}
		return nil // without a whole mark, the whole log counts
	})
	return mark, err
}
