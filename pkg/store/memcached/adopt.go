package memcached

import (
	"context"
	"errors"
	"slices"
	"time"

	"gm/pkg/store"
)

// adopt gives numbers above last to gearmand's jobs, writes them back as jobs of gm,
// and calls f for each. The jobs have no order in memcached, so adopt uses the order
// of their keys. In a store that another server holds, it does not write them back.
func (s *Store) adopt(ctx context.Context, p *pool, keys []string, last uint64, f func(*store.Record) error) error {
	known, err := s.readLast(ctx, p)
	if err != nil {
		return err
	}
	seq, jobs := s.AdoptFrom(time.Now(), max(last, known)), 0
	for page := range slices.Chunk(keys, pageItems) {
		items, err := p.fetch(ctx, page)
		if err != nil {
			return err
		}
		var records []*store.Record
		var from []string
		for _, key := range page {
			it, ok := items[key]
			if !ok {
				continue
			}
			r := &store.Record{Payload: it.value, Priority: parsePriority(it.flags)}
			if r.Function, r.Unique, ok = store.SplitName(key[len(s.layout.prefix):]); !ok {
				s.skip(key, &store.CorruptError{Where: key, Why: "no function and unique in the key"})
				continue
			}
			seq++
			r.Seq = seq
			records, from = append(records, r), append(from, key)
		}
		if err := s.writeBack(ctx, from, records); err != nil {
			return err
		}
		jobs += len(records)
		for _, r := range records {
			if err := f(r); err != nil {
				return err
			}
		}
	}
	if jobs > 0 {
		s.log.Info("found jobs that gearmand has queued", "jobs", jobs)
	}
	return ctx.Err()
}

// writeBack writes adopted jobs, each in place of its key.
func (s *Store) writeBack(ctx context.Context, keys []string, records []*store.Record) error {
	if s.config.AsIs {
		return nil
	}
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.closed {
		return errClosed
	}
	err := s.checkLock(ctx)
	if held := new(store.HeldError); errors.As(err, &held) || errors.Is(err, errLost) {
		return nil
	}
	if err != nil {
		return err
	}
	p := s.layout.newPlan(s.maxItem, nil)
	var old []change
	for i, r := range records {
		p.addJob(r)
		if s.layout.prefix+s.layout.jobName(r) != keys[i] {
			old = append(old, change{key: keys[i]})
		}
	}
	if err := s.writePlan(ctx, p); err != nil {
		return err
	}
	return s.pool.changeItems(ctx, old)
}
