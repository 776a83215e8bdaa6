//go:build tokyocabinet && cgo

package tokyocabinet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gm/pkg/store"
	"gm/pkg/store/internal/filestore"
)

// ReadPayload implements store.Reader.
func (s *Store) ReadPayload(ctx context.Context, j *store.Record) ([]byte, error) {
	for _, key := range keysOf(j) {
		v, err := s.readRecord(ctx, key)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		if _, err := decode([]byte(key), v); err != nil {
			return nil, &store.CorruptError{Where: fmt.Sprintf("job %d", j.Seq), Why: err.Error()}
		}
		if found := jobOf(key, v, j.Seq); found != nil {
			return found.Payload, nil
		}
	}
	return nil, store.ErrNotFound
}

// readRecord returns the value under a key, or nil if the key does not exist.
func (s *Store) readRecord(ctx context.Context, key string) (v []byte, err error) {
	err = s.use(ctx, func(d database) error {
		if v, err = d.get(key); err != nil {
			return s.base.Fail("read", err)
		}
		return nil
	})
	return v, err
}

// Replay implements store.Store.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.replay(ctx, func(j *store.Record) error {
		j.Payload = slices.Clip(j.Payload)
		return f(j)
	})
}

// ReplayHeads implements store.Reader.
func (s *Store) ReplayHeads(ctx context.Context, f func(j *store.Record, size int) error) error {
	return s.replay(ctx, func(j *store.Record) error {
		size := len(j.Payload)
		j.Payload = nil
		return f(j, size)
	})
}

// listed is a job in a list that is sorted, because the database has no order of jobs.
type listed struct {
	seq uint64 // 0 for a job of gearmand
	key string
}

// replay calls f for every job. gearmand's jobs come last, because they were queued
// last.
func (s *Store) replay(ctx context.Context, f func(*store.Record) error) error {
	var jobs, foreign []listed
	limit, err := s.LastSeq(ctx)
	if err != nil {
		return err
	}
	err = s.eachEntry(ctx, func(key string, x *entry) error {
		switch {
		case x.extra:
		case x.foreign:
			foreign = append(foreign, listed{key: key})
		case x.job.Seq <= limit: // it was not added meanwhile
			jobs = append(jobs, listed{x.job.Seq, key})
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(jobs, func(a, b listed) int { return cmp.Compare(a.seq, b.seq) })
	for _, l := range jobs {
		v, err := s.readRecord(ctx, l.key)
		if err != nil {
			return err
		}
		if v == nil {
			continue // it was done meanwhile
		}
		x, err := decode([]byte(l.key), v)
		if err != nil {
			s.setAside(ctx, []fault{{key: l.key, value: v, why: err}})
			continue
		}
		if x.job.Seq == l.seq {
			if err := f(&x.job); err != nil {
				return err
			}
		}
	}
	return s.adopt(ctx, foreign, s.AdoptFrom(time.Now(), limit)+1, f)
}

// eachEntry calls f for every record, and sets damaged ones aside. The library has only
// one iterator: one caller at a time can use it, and f must not call eachEntry.
func (s *Store) eachEntry(ctx context.Context, f func(key string, x *entry) error) error {
	s.listMu.Lock()
	defer s.listMu.Unlock()
	if err := s.use(ctx, database.rewind); err != nil {
		return err
	}
	const chunk = 500
	for more := true; more; {
		var keys []string
		var values [][]byte
		err := s.use(ctx, func(d database) error {
			for len(keys) < chunk {
				key, err := d.next()
				if err != nil {
					return s.base.Fail("read", err)
				}
				if key == "" {
					more = false
					break
				}
				v, err := d.get(key)
				if err != nil {
					return s.base.Fail("read", err)
				}
				keys, values = append(keys, key), append(values, v)
			}
			return nil
		})
		if err != nil {
			return err
		}
		var faults []fault
		for i, key := range keys {
			x, err := decode([]byte(key), values[i])
			if err != nil {
				faults = append(faults, fault{key: key, value: values[i], why: err})
				continue
			}
			if err := f(key, x); err != nil {
				return err
			}
		}
		s.setAside(ctx, faults)
	}
	return nil
}

// adopt gives gearmand's jobs sequences from first on, and calls f for them.
func (s *Store) adopt(ctx context.Context, foreign []listed, first uint64, f func(*store.Record) error) error {
	const maxJobs, maxBytes = 500, 4 << 20 // of a batch
	for len(foreign) > 0 {
		var jobs []*store.Record
		adopted := 0
		var faults []fault
		err := s.write(ctx, "adopt jobs in", func(n *net) error {
			for size := 0; adopted < len(foreign) && adopted < maxJobs && size < maxBytes; adopted++ {
				key := foreign[adopted].key
				s.mu.Lock()
				v, err := s.db.get(key)
				s.mu.Unlock()
				if err != nil {
					return err
				}
				if v == nil {
					continue // it was done meanwhile
				}
				x, err := decode([]byte(key), v)
				if err != nil {
					faults = append(faults, fault{key: key, value: v, why: err})
				}
				if err != nil || !x.foreign {
					continue
				}
				x.job.Seq = first + uint64(adopted)
				n.setValue(key, nil, v)
				n.addJob(&x.job)
				jobs = append(jobs, &x.job)
				size += len(v)
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.setAside(ctx, faults)
		for _, j := range jobs {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(j); err != nil {
				return err
			}
		}
		foreign, first = foreign[adopted:], first+uint64(adopted)
	}
	return nil
}

// Extras implements store.Store.
func (s *Store) Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error {
	return s.eachEntry(ctx, func(_ string, x *entry) error {
		if x.extra && strings.HasPrefix(x.job.Unique, prefix) && x.job.Unique != lastKey {
			return f(x.job.Unique, slices.Clip(x.job.Payload))
		}
		return nil
	})
}

// Extra implements store.Store.
func (s *Store) Extra(ctx context.Context, key string) ([]byte, error) {
	at := extraKey(key)
	v, err := s.readRecord(ctx, at)
	if err != nil {
		return nil, err
	}
	if v == nil || key == lastKey {
		return nil, store.ErrNotFound
	}
	x, err := decode([]byte(at), v)
	if err != nil {
		s.setAside(ctx, []fault{{key: at, value: v, why: err}})
		return nil, &store.CorruptError{Where: fmt.Sprintf("extra %q", key), Why: err.Error()}
	}
	if !x.extra || x.job.Unique != key {
		return nil, store.ErrNotFound
	}
	return x.job.Payload, nil
}

// Compact implements store.Compacter.
func (s *Store) Compact(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, isHash := s.db.(*hash)
	if !isHash {
		return s.compactTree()
	}
	if err := s.checkpoint(); err != nil {
		return s.base.Fail("compact", err)
	}
	info, err := d.file.Stat()
	if err != nil {
		return s.base.Fail("compact", err)
	}
	err = s.base.Watch.Change(s.path, func() error { return d.compact(s.path) })
	if err == nil {
		err = d.file.Chmod(info.Mode().Perm()) // the library made a new file
	}
	if err := errors.Join(err, d.sync()); err != nil {
		return s.base.Fail("compact", filestore.MarkFull(err))
	}
	return nil
}

// compactTree writes a new B+ tree database. The library's own function
// replaces the database even if it could not write the new one. commitMu and mu
// are held.
func (s *Store) compactTree() error {
	err := s.db.close()
	s.db = nil // the next use opens it, if this fails
	if err != nil {
		return s.base.Fail("compact", err)
	}
	s.base.Watch.Clear()
	t, err := openTable(s.path)
	if err != nil {
		return s.base.Fail("compact", err)
	}
	if err := errors.Join(s.salvage(t, t.damage), t.closeFile()); err != nil {
		return s.base.Fail("compact", filestore.MarkFull(err))
	}
	return s.openAndWatch()
}
