package memcached

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"gm/pkg/store"
)

// How much is read at a time: jobs or extras, and bytes of payloads, unless one
// has more.
const (
	pageJobs  = 256
	pageItems = 16 // whose sizes are not known before
	pageBytes = 8 << 20
)

// pagesOf returns rows in parts that are read at a time.
func pagesOf(rows []*row) iter.Seq[[]*row] {
	return func(yield func([]*row) bool) {
		for len(rows) > 0 {
			n, size := 1, rows[0].size
			for n < len(rows) && n < pageJobs && size+rows[n].size <= pageBytes {
				size += rows[n].size
				n++
			}
			if !yield(rows[:n]) {
				return
			}
			rows = rows[n:]
		}
	}
}

// Replay adopts the jobs that gearmand has queued and calls f for every job.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	if err := s.replay(ctx, f); err != nil {
		return fmt.Errorf("replay from memcached: %w", err)
	}
	return nil
}

func (s *Store) replay(ctx context.Context, f func(*store.Record) error) error {
	if err := s.settle(ctx); err != nil {
		return err
	}
	if !s.lists {
		return nil
	}
	p := newPool(s.config.Servers)
	defer p.close()
	rows, foreign, err := s.index(ctx, p, s.skip)
	if err != nil {
		return err
	}
	var last uint64
	if n := len(rows); n > 0 {
		last = rows[n-1].Seq
	}
	gone := 0
	for page := range pagesOf(rows) {
		payloads, err := s.payloads(ctx, p, page)
		if err != nil {
			return err
		}
		for i, w := range page {
			if payloads[i] == nil {
				if lost, err := s.stillThere(ctx, p, w); err != nil {
					return err
				} else if lost {
					s.skip(s.layout.row(hidden(w.Seq)), &store.CorruptError{Where: fmt.Sprintf("job %d of %q", w.Seq, w.Function), Why: errPart.Error()})
				} else {
					gone++
				}
				continue
			}
			if err := f(w.fill(payloads[i])); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	if gone > 0 {
		s.log.Info("jobs that another server has done, or that memcached has thrown away", "jobs", gone)
	}
	return s.adopt(ctx, p, foreign, last, f)
}

// errPart is the fault of a value in parts.
var errPart = errors.New("memcached has thrown away a part of it")

// stillThere reports whether a job whose payload is not whole is still there. Its
// payload is in parts, which gearmand does not see.
func (s *Store) stillThere(ctx context.Context, p *pool, w *row) (bool, error) {
	if w.part == 0 {
		return false, nil
	}
	key := s.layout.row(hidden(w.Seq))
	items, err := p.fetch(ctx, []string{key})
	return len(items) > 0, err
}

// settle removes the uncertain jobs.
func (s *Store) settle(ctx context.Context) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return errClosed
	}
	if len(s.undo) == 0 {
		return ctx.Err()
	}
	return s.commit(ctx, nil)
}

// keys returns all keys that begin so.
func (s *Store) keys(ctx context.Context, p *pool, prefixes ...string) ([]string, error) {
	var keys []string
	for i := range s.config.Servers {
		err := p.list(ctx, i, func(key string) bool {
			if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
				keys = append(keys, key)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys), nil
}

// index returns the rows of all jobs in the order of their numbers, and
// gearmand's keys that have none.
func (s *Store) index(ctx context.Context, p *pool, skip func(string, error)) (rows []*row, foreign []string, err error) {
	begin := s.layout.own + "j:"
	keys, err := s.keys(ctx, p, begin, s.layout.prefix)
	if err != nil {
		return nil, nil, err
	}
	known := make(map[string]bool) // gearmand's keys of rows
	for page := range slices.Chunk(keys, 1000) {
		page = slices.DeleteFunc(slices.Clone(page), func(key string) bool { return !strings.HasPrefix(key, begin) })
		items, err := p.fetch(ctx, page)
		if err != nil {
			return nil, nil, err
		}
		for key, it := range items {
			w, err := decodeRow(it)
			if err != nil {
				skip(key, err)
				continue
			}
			if w.part == 0 {
				known[s.layout.prefix+s.layout.name(w.Record)] = true
			}
			rows = append(rows, w)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.part, b.part))
	})
	// A job that was interrupted while it changed its name.
	rows = slices.CompactFunc(rows, func(a, b *row) bool { return a.Seq == b.Seq })
	foreign = slices.DeleteFunc(keys, func(key string) bool { return known[key] || !strings.HasPrefix(key, s.layout.prefix) })
	return rows, foreign, nil
}

// payloads returns an item for each row, with the payload and gearmand's
// priority, or nil where there is none.
func (s *Store) payloads(ctx context.Context, p *pool, rows []*row) ([]*item, error) {
	var keys []string
	for _, w := range rows {
		if w.part == 0 {
			keys = append(keys, s.layout.prefix+s.layout.name(w.Record))
		}
	}
	items, err := p.fetch(ctx, keys)
	if err != nil {
		return nil, err
	}
	found := make([]*item, len(rows))
	for i, w := range rows {
		if w.part == 0 {
			if it, ok := items[s.layout.prefix+s.layout.name(w.Record)]; ok {
				found[i] = &it
			}
			continue
		}
		value, err := fetchParts(ctx, p, s.layout.payloadPart(w.Seq), w.size, w.part)
		if err != nil {
			return nil, err
		}
		if value != nil {
			found[i] = &item{value, uint32(w.Priority)}
		}
	}
	return found, nil
}

// fetchParts returns a value that is in parts, nil if it is not whole.
func fetchParts(ctx context.Context, p *pool, begin string, size, part int) ([]byte, error) {
	keys := partKeys(begin, size, part)
	items, err := p.fetch(ctx, keys)
	if err != nil {
		return nil, err
	}
	value := []byte{}
	for _, key := range keys {
		value = append(value, items[key].value...)
	}
	if len(items) < len(keys) || len(value) != size {
		return nil, nil
	}
	return value, nil
}

// fill returns the record of a row and its payload's item. A newer job that
// gearmand has put in its place has nothing else of it.
func (w *row) fill(it *item) *store.Record {
	r := w.Record
	r.Payload = it.value
	if p := parsePriority(it.flags); p != r.Priority || len(it.value) != w.size {
		r.Priority, r.RunAt, r.Attempts, r.Accepted, r.Reducer = p, 0, 0, 0, ""
	}
	return r
}

// parsePriority returns gearmand's priority. An invalid one counts as normal.
func parsePriority(flags uint32) uint8 {
	if flags > 2 {
		return 1
	}
	return uint8(flags)
}

// adopt gives numbers above last to gearmand's jobs, in the order of their
// keys, as gearmand keeps none; writes them back as gm's own; and calls f for
// each. Those of a store that another server holds stay as they are.
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
	s.write.Lock()
	defer s.write.Unlock()
	if s.closed {
		return errClosed
	}
	err := s.stillOurs(ctx)
	if held := new(store.HeldError); errors.As(err, &held) || errors.Is(err, errPassed) {
		return nil
	}
	if err != nil {
		return err
	}
	p := s.layout.plan(s.maxItem, nil)
	var old []change
	for i, r := range records {
		p.add(r)
		if s.layout.prefix+s.layout.name(r) != keys[i] {
			old = append(old, change{key: keys[i]})
		}
	}
	if err := s.carryOut(ctx, p); err != nil {
		return err
	}
	return s.pool.change(ctx, old)
}

// LastSeq is that of [store.Numbered].
func (s *Store) LastSeq(ctx context.Context) (uint64, error) {
	p := newPool(s.config.Servers)
	defer p.close()
	last, err := s.readLast(ctx, p)
	if err != nil {
		return 0, fmt.Errorf("read the last number from memcached: %w", err)
	}
	return last, nil
}

// readLast returns the highest number stored in memcached, or 0 if the item is
// missing or invalid.
func (s *Store) readLast(ctx context.Context, p *pool) (uint64, error) {
	items, err := p.fetch(ctx, []string{s.layout.last})
	if err != nil {
		return 0, err
	}
	it, ok := items[s.layout.last]
	if !ok {
		return 0, nil
	}
	last, err := decodeLast(it)
	if err != nil {
		s.skip(s.layout.last, &store.CorruptError{Where: s.layout.last, Why: "no number"})
	}
	return last, nil
}

// Extras is that of [store.Store].
func (s *Store) Extras(ctx context.Context, prefix string, f func(key string, value []byte) error) error {
	if !s.lists {
		return nil
	}
	p := newPool(s.config.Servers)
	defer p.close()
	keys, err := s.keys(ctx, p, s.layout.own+"x:")
	if err == nil {
		err = s.values(ctx, p, keys, prefix, f)
	}
	if err != nil {
		return fmt.Errorf("read extras from memcached: %w", err)
	}
	return nil
}

// Extra is that of [store.Store].
func (s *Store) Extra(ctx context.Context, key string) (value []byte, err error) {
	p := newPool(s.config.Servers)
	defer p.close()
	at := s.layout.extra(key)
	items, err := p.fetch(ctx, []string{at})
	it, there := items[at]
	var e *extraHead
	if err == nil && there {
		e, err = s.value(ctx, p, at, it)
	}
	switch corrupt := new(store.CorruptError); {
	case errors.As(err, &corrupt):
		s.skip(at, err)
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("read extra %q from memcached: %w", key, err)
	case e == nil || e.key != key:
		return nil, store.ErrNotFound
	}
	return e.value, nil
}

// values calls f for those of the extras whose key begins with prefix.
func (s *Store) values(ctx context.Context, p *pool, keys []string, prefix string, f func(string, []byte) error) error {
	for page := range slices.Chunk(keys, pageItems) {
		items, err := p.fetch(ctx, page)
		if err != nil {
			return err
		}
		for key, it := range items {
			if e, ok := decodeExtra(it); ok && !strings.HasPrefix(e.key, prefix) {
				continue
			}
			e, err := s.value(ctx, p, key, it)
			if corrupt := new(store.CorruptError); errors.As(err, &corrupt) {
				s.skip(key, err)
				continue
			}
			if err != nil {
				return err
			}
			if e == nil {
				continue
			}
			if err := f(e.key, e.value); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// value returns the extra of an item with its value, which may be in parts, or nil
// if it was changed meanwhile. If it can't be read, the error is a
// *store.CorruptError.
func (s *Store) value(ctx context.Context, p *pool, key string, it item) (*extraHead, error) {
	e, ok := decodeExtra(it)
	if !ok {
		return nil, &store.CorruptError{Where: key, Why: "fields do not fit"}
	}
	if e.part == 0 {
		return e, nil
	}
	var err error
	if e.value, err = fetchParts(ctx, p, s.layout.extraPart(e.key), e.size, e.part); err != nil || e.value != nil {
		return e, err
	}
	now, err := p.fetch(ctx, []string{key})
	if err != nil || !bytes.Equal(now[key].value, it.value) {
		return nil, err
	}
	return nil, &store.CorruptError{Where: fmt.Sprintf("extra %q", e.key), Why: errPart.Error()}
}

// Check is that of [store.Checker].
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	p := newPool(s.config.Servers)
	defer p.close()
	rows, _, err := s.index(ctx, p, func(what string, err error) { report(fmt.Sprintf("%s: %v", what, err)) })
	if err != nil {
		return fmt.Errorf("check memcached store: %w", err)
	}
	for page := range pagesOf(rows) {
		payloads, err := s.payloads(ctx, p, page)
		if err != nil {
			return fmt.Errorf("check memcached store: %w", err)
		}
		for i, w := range page {
			if payloads[i] == nil {
				report(fmt.Sprintf("job %d of %q has no payload: another server has done it, or it was thrown away", w.Seq, w.Function))
			}
		}
	}
	return nil
}
