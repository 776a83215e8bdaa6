package disk

import (
	"encoding/binary"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"gm/pkg/store"
)

// seal has the log's other segment take what comes, once what that had is in the
// file. commitMu is held.
func (s *Store) seal() error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if err := s.checkpoint(); err != nil {
		return err
	}
	s.wal.seal()
	return nil
}

// rotate is seal for who does not wait for the file to have what the log has had
// until now. commitMu is held.
func (s *Store) rotate() error {
	if err := s.seal(); err != nil {
		return err
	}
	if s.ctx.Err() == nil {
		s.wg.Go(func() { _ = s.finish() })
	}
	return nil
}

// finish waits until the file has what was sealed.
func (s *Store) finish() error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	return s.checkpoint()
}

// flush puts all that the log has into the file. commitMu is held.
func (s *Store) flush() error {
	if s.wal.empty() {
		return nil
	}
	if err := s.seal(); err != nil {
		return err
	}
	return s.finish()
}

// settle is flush for who reads the file. Commits go on meanwhile.
func (s *Store) settle() error {
	err := s.use(func(*engine) error { return nil })
	if err != nil {
		return err
	}
	s.commitMu.Lock()
	if !s.wal.empty() {
		err = s.seal()
	}
	s.commitMu.Unlock()
	if err != nil {
		return err
	}
	return s.finish()
}

const (
	// settleAfter is how long a batch is in the log before it is put into the
	// file, if the log has not filled by then.
	settleAfter = time.Second
	// tellStuck is how often the log of the server has that this fails.
	tellStuck = time.Minute
)

// settleLate puts what is in the log for long into the file, until the store is
// closed.
func (s *Store) settleLate() {
	for {
		select {
		case <-s.appended:
		case <-s.ctx.Done():
			return
		}
		select {
		case <-time.After(settleAfter):
		case <-s.ctx.Done():
			return
		}
		_ = s.settle()
	}
}

// checkpoint puts the segment that is sealed, if one is, into the file. The Add
// of a job that ends in it never gets there. fileMu is held.
func (s *Store) checkpoint() error {
	g := s.wal.sealed()
	if g == nil {
		return nil
	}
	s.logged = g.entries(s.logged[:0])
	highest := highestOf(s.logged)
	t := transaction{entries: withoutEnded(s.logged), highest: highest, mark: g.last, parts: true, scattered: g.need.scattered}
	put := func(e *engine) error {
		if err := s.write(e, &t); err != nil {
			return err
		}
		s.compactSoon(e)
		return nil
	}
	err := s.use(put)
	if isPanic(err) {
		err = s.use(put) // into what could be read of the broken file
	}
	clear(s.logged)
	switch {
	case err == nil:
		s.wal.applied(g)
	case time.Since(s.stuck) >= tellStuck:
		s.stuck = time.Now()
		s.cfg.Logger.Warn("what was committed last stays in the log", "store", "disk:"+s.cfg.Dir, "err", err)
	}
	return err
}

// highestOf returns the highest number of a job that entries add, 0 if they add
// none.
func highestOf(entries []entry) (highest uint64) {
	for i := range entries {
		if x := &entries[i]; x.kind == store.Add {
			highest = max(highest, seqOf(x.key))
		}
	}
	return highest
}

// withoutEnded leaves out the Adds of jobs that later entries end. Their ends
// stay: an earlier attempt may have added the jobs.
func withoutEnded(entries []entry) []entry {
	ends := make(map[uint64]int) // where a job ends
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

// recover opens the log, and puts into e what it has of a process that did not
// close the store. mu is held.
func (s *Store) recover(e *engine) (*wal, error) {
	w, err := openWAL(&s.files, s.walFile, s.cfg.Sync != SyncAlways)
	if err != nil {
		return nil, err
	}
	mark, err := readMark(e)
	if err == nil {
		err = s.recoverTo(e, w, mark)
	}
	if err == nil {
		err = s.files.syncDir(s.cfg.Dir) // the files may be new
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	if !w.files {
		s.cfg.Logger.Warn("no room for a log: commits take longer", "store", "disk:"+s.cfg.Dir)
		_, err0 := s.files.remove(s.walFile(0))
		_, err1 := s.files.remove(s.walFile(1))
		if err := errors.Join(w.close(), err0, err1); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (s *Store) recoverTo(e *engine, w *wal, mark uint64) error {
	var entries []entry
	err := e.guard(func() error {
		return e.db.View(func(tx *bolt.Tx) error {
			s.pieces.Store(lastPiece(tx))
			return nil
		})
	})
	if err != nil {
		return err
	}
	frames := w.gather(mark, s.skip)
	w.number = mark
	for _, f := range frames {
		entries = append(entries, f.entries...)
		w.number = f.number
	}
	if len(frames) > 0 {
		highest := highestOf(entries)
		e.sealing.sealEntries(entries)
		if err := s.write(e, &transaction{entries: withoutEnded(entries), highest: highest, mark: w.number, parts: true}); err != nil {
			return err
		}
		s.cfg.Logger.Info("log read", "store", "disk:"+s.cfg.Dir, "batches", len(frames), "entries", len(entries))
	}
	if err := s.syncFile(e); err != nil {
		return err
	}
	return w.begin(e.sealing)
}

// syncFile writes to the disk all that e has, before the log forgets it.
func (s *Store) syncFile(e *engine) error {
	if s.cfg.Sync != SyncNever {
		return nil // each transaction did
	}
	return e.db.Sync()
}

// forget has the log forget what e has.
func (s *Store) forget(e *engine, w *wal) error {
	if err := s.syncFile(e); err != nil {
		return err
	}
	return w.forget(walHeader)
}

// readMark returns the number of the last frame of the log that is in e, 0 if
// that can't be known.
func readMark(e *engine) (mark uint64, err error) {
	err = e.view(func(snap *snapshot) error {
		extras, err := snap.bucket(extrasBucket)
		if err != nil {
			return err
		}
		value, err := extras.get([]byte(markKey))
		if err == nil {
			value, err = snap.sealing.unseal(extrasName, []byte(markKey), value)
		}
		if err == nil && len(value) == 8 {
			mark = binary.BigEndian.Uint64(value)
		}
		if isReadError(err) {
			return err
		}
		return nil // without a whole mark, all that the log has counts
	})
	return mark, err
}
