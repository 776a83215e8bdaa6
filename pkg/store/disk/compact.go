package disk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/disk/boltfile"
	"gm/pkg/store/internal/filestore"
)

const (
	// compactAbove is the minimum size in bytes of a file that the store compacts
	// itself.
	compactAbove = 32 << 20
	// compactPause is the time between a failure and the next try.
	compactPause = time.Minute
	// fewChanges is the maximum number of changes that are applied while nobody
	// else can write the file.
	fewChanges = 1000
)

// changes are the entries that were written since a compaction began. Each is the
// first letter of the bucket's name, and the key.
type changes map[string]struct{}

// noteChange notes for a compaction that an entry is about to change.
func (w *writer) noteChange(name, key []byte) {
	if w.changed != nil {
		w.changed[string(name[0])+string(key)] = struct{}{}
	}
}

// compactSoon starts a compaction if most of the file is free. fileMu is
// held.
func (s *Store) compactSoon(e *engine) {
	if s.compacting || s.ctx.Err() != nil || time.Since(s.failed) < compactPause || e.Reserved() < compactAbove || !e.MostlyFree() {
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
			s.base.Log.Warn("file stays large", "err", err)
		}
	})
}

// shrinkIdle starts a compaction if most of the file is free. After a drain there
// may be no commit that starts it.
func (s *Store) shrinkIdle() {
	if !s.fileMu.TryLock() {
		return
	}
	defer s.fileMu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.engine != nil && !s.engine.Broken() && s.base.Watch.Check() == nil {
		s.compactSoon(s.engine)
	}
}

// Compact implements store.Compacter. It copies the entries into a new file, while
// others write the old one, and then the entries that changed meanwhile. Writers
// wait only for the last few changes and for the replacement of the file. The
// store calls Compact itself when three quarters of a file of 32 MiB or more are
// free. The disk needs room for both files.
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
	var c sealing                        // of the new file: all entries have the salt there
	err := s.use(func(e *engine) error { // opening removes leftovers
		c.salt = e.sealing.salt
		return nil
	})
	if err != nil {
		return err
	}
	out, err := s.newFiller("compact", c)
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
			err = out.syncAll()
		}
		if err != nil {
			return err
		}
		if len(changed) <= fewChanges {
			break
		}
	}
	old, err := s.replaceFile(ctx, out)
	if err != nil {
		return err
	}
	out = nil
	return old.Close() // which frees its blocks, and takes a while
}

// copyAll copies all entries into out, and begins to note changes. The engine
// stays open meanwhile: only Close and compactions close a whole one, and
// compactMu excludes both. Reading from a broken one is an error.
func (s *Store) copyAll(ctx context.Context, out *filler) error {
	var snap *snapshot
	var release func()
	s.fileMu.Lock()
	s.changed = make(changes)
	err := s.use(func(e *engine) (err error) {
		snap, release, err = e.holdSnapshot()
		return err
	})
	s.fileMu.Unlock()
	if err != nil {
		return err
	}
	defer release()
	w := boltfile.Walk{Tree: snap.Tree, Whole: true}
	w.Leaf = func(at boltfile.Place, p *boltfile.Page) error {
		name := []byte(at.Bucket)
		for i := range p.Len() {
			key, value, _ := p.Entry(i)
			snap.sealing.renew(name, key, value)
			if err := out.put(name, key, value); err != nil {
				return err
			}
		}
		return ctx.Err()
	}
	return w.Run()
}

// catchUp copies the changed entries of e into out.
func (s *Store) catchUp(ctx context.Context, e *engine, out *filler, changed changes) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	names := map[byte][]byte{jobsName[0]: jobsName, bodiesName[0]: bodiesName, extrasName[0]: extrasName}
	return e.view(func(snap *snapshot) error {
		buckets := make(map[byte]*boltfile.Bucket)
		for letter, name := range names {
			b, err := snap.Bucket(string(name))
			if err != nil {
				return err
			}
			buckets[letter] = b
		}
		for _, entry := range slices.Sorted(maps.Keys(changed)) {
			name, key := names[entry[0]], []byte(entry[1:])
			value, err := buckets[entry[0]].Get(key)
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
		return out.raiseHighest(buckets[jobsName[0]].Sequence())
	})
}

// replaceFile brings out up to date, replaces the queue's file with it, and
// returns the engine of the old file. Nobody else writes meanwhile.
func (s *Store) replaceFile(ctx context.Context, out *filler) (old *engine, err error) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	err = s.use(func(e *engine) error { return s.catchUp(ctx, e, out, s.changed) })
	if err == nil {
		err = out.syncAll()
	}
	if err != nil {
		return nil, err
	}
	s.changed = nil

	s.mu.Lock()
	defer s.mu.Unlock()
	if err := filestore.KeepMode(out.path, s.file()); err != nil {
		return nil, err
	}
	if err := s.base.Watch.Change(s.file(), func() error { return s.files.Rename(out.path, s.file()) }); err != nil {
		return nil, err
	}
	// From here on the new file is the queue's, also after an error.
	if err := s.files.SyncDir(s.cfg.Dir); err != nil {
		s.base.Log.Error("sync failed", "err", err)
	}
	old, e := s.engine, out.engine
	e.MeasureReserved()
	e.SetNoSync(s.cfg.Sync == store.SyncNever)
	s.engine, s.sealing = e, e.sealing
	s.base.Log.Info("file compacted", "before", old.Reserved(), "after", e.Reserved())
	return old, nil
}
