package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/lockfile"
)

const (
	// compactAbove is the size in bytes from which a file is shrunk by itself.
	compactAbove = 32 << 20
	// compactPause is how long after a failure it is not tried again.
	compactPause = time.Minute
	// fewChanges is how many are applied while nobody else writes the file.
	fewChanges = 1000
)

// changes are the entries that were written since a compaction began: the
// first letter of the bucket's name, and the key.
type changes map[string]struct{}

// note tells a compaction that an entry is about to change.
func (w *writer) note(name, key []byte) {
	if w.changed != nil {
		w.changed[string(name[0])+string(key)] = struct{}{}
	}
}

func (e *engine) wasteful() bool {
	used := e.reserved
	stats := e.db.Stats()
	free := int64(stats.FreePageN) * e.pageSize
	if stats.OpenTxN == 0 { // the next transaction frees them
		free += int64(stats.PendingPageN) * e.pageSize
	}
	return used >= compactAbove && free >= used/4*3
}

// compactSoon starts a compaction if most of the file is free. fileMu is
// held.
func (s *Store) compactSoon(e *engine) {
	if s.compacting || s.ctx.Err() != nil || time.Since(s.failed) < compactPause || !e.wasteful() {
		return
	}
	s.compacting = true
	s.wg.Go(func() {
		err := s.Compact(s.ctx)
		s.fileMu.Lock()
		defer s.fileMu.Unlock()
		s.compacting = false
		if err != nil && s.ctx.Err() == nil {
			s.failed = time.Now()
			s.cfg.Logger.Warn("file stays large", "store", "disk:"+s.cfg.Dir, "err", err)
		}
	})
}

// shrinkIdle starts a compaction if most of the file is free. After a drain, no
// commit may come that would.
func (s *Store) shrinkIdle() {
	if !s.fileMu.TryLock() {
		return
	}
	defer s.fileMu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.engine != nil && !s.engine.broken.Load() && s.watch.Check() == nil {
		s.compactSoon(s.engine)
	}
}

// Compact implements store.Compacter. It copies what is there into a new file
// while the old one is written, then what has changed there meanwhile. Who
// writes waits only for the last few changes and for the change of files. It runs by
// itself when three quarters of a file of 32 MiB or more are free. The new
// file needs room beside the old one.
func (s *Store) Compact(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	s.compactMu.Lock()
	defer s.compactMu.Unlock()
	if err := s.compact(ctx); err != nil {
		return fmt.Errorf("compact %s: %w", s.file(), err)
	}
	return nil
}

func (s *Store) compact(ctx context.Context) error {
	var c sealing                        // of the new file: no entry is without a salt there
	err := s.use(func(e *engine) error { // it removes what lies about
		c.salt = e.sealing.salt
		return nil
	})
	if err != nil {
		return err
	}
	out, err := newFiller(&s.files, s.temporary("compact"), c)
	if err != nil {
		return err
	}
	defer func() {
		if out != nil {
			out.discard()
		}
		s.fileMu.Lock()
		s.changed = nil
		s.fileMu.Unlock()
	}()
	if err := s.copyAll(ctx, out); err != nil {
		return err
	}
	for range 20 {
		s.fileMu.Lock()
		changed := s.changed
		s.changed = make(changes)
		s.fileMu.Unlock()
		err := s.use(func(e *engine) error { return s.catchUp(ctx, e, out, changed) })
		if err == nil {
			err = out.sync()
		}
		if err != nil {
			return err
		}
		if len(changed) <= fewChanges {
			break
		}
	}
	old, err := s.replace(ctx, out)
	if err != nil {
		return err
	}
	out = nil
	return old.close() // which frees its blocks, and takes its time
}

// copyAll copies what is there into out, and has what changes from then on
// noted. The engine stays: only Close and compactions, which compactMu keeps
// away, take it while it is whole, and reading from it when it is not is an
// error.
func (s *Store) copyAll(ctx context.Context, out *filler) error {
	var snap *snapshot
	var release func()
	s.fileMu.Lock()
	s.changed = make(changes)
	err := s.use(func(e *engine) (err error) {
		snap, release, err = e.hold()
		return err
	})
	s.fileMu.Unlock()
	if err != nil {
		return err
	}
	defer release()
	w := walk{tree: &snap.tree, whole: true}
	w.leaf = func(at place, p *page) error {
		for i := range p.count {
			x, _ := p.element(i)
			name, key, value := []byte(at.bucket), p.keyOf(x), p.valueOf(x)
			snap.sealing.renew(name, key, value)
			if err := out.put(name, key, value); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	return w.run(snap.root)
}

// catchUp brings the changed entries of out to what e has.
func (s *Store) catchUp(ctx context.Context, e *engine, out *filler, changed changes) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names := map[byte][]byte{jobsName[0]: jobsName, bodiesName[0]: bodiesName, extrasName[0]: extrasName}
	return e.view(func(snap *snapshot) error {
		buckets := make(map[byte]*bucket)
		for letter, name := range names {
			b, err := snap.bucket(string(name))
			if err != nil {
				return err
			}
			buckets[letter] = b
		}
		for _, entry := range slices.Sorted(maps.Keys(changed)) {
			name, key := names[entry[0]], []byte(entry[1:])
			value, err := buckets[entry[0]].get(key)
			switch {
			case errors.Is(err, store.ErrNotFound):
				err = out.delete(name, key)
			case err == nil:
				snap.sealing.renew(name, key, value)
				err = out.put(name, key, value)
			}
			if err != nil {
				return err
			}
		}
		return out.raise(buckets[jobsName[0]].sequence)
	})
}

// replace brings out up to date, puts it in the place of the queue's file, and
// returns the engine of that. Nobody else writes.
func (s *Store) replace(ctx context.Context, out *filler) (old *engine, err error) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	err = s.use(func(e *engine) error { return s.catchUp(ctx, e, out, s.changed) })
	if err == nil {
		err = out.sync()
	}
	if err != nil {
		return nil, err
	}
	s.changed = nil

	s.mu.Lock()
	defer s.mu.Unlock()
	if err := lockfile.KeepMode(out.path, s.file()); err != nil {
		return nil, err
	}
	if err := s.watch.Change(s.file(), func() error { return s.files.rename(out.path, s.file()) }); err != nil {
		return nil, err
	}
	// From here on the new file is the queue's, whatever happens.
	if err := s.files.syncDir(s.cfg.Dir); err != nil {
		s.cfg.Logger.Error("sync failed", "store", "disk:"+s.cfg.Dir, "err", err)
	}
	old, e := s.engine, out.engine
	if info, err := e.file.Stat(); err == nil {
		e.reserved = info.Size()
	}
	e.path = s.file()
	e.db.NoSync = s.cfg.Sync == SyncNever
	e.reserve = old.reserve
	s.engine, s.sealing = e, e.sealing
	s.cfg.Logger.Info("file compacted", "store", "disk:"+s.cfg.Dir, "before", old.reserved, "after", e.reserved)
	return old, nil
}
