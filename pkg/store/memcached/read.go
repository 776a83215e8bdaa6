package memcached

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"gm/pkg/store"
)

// The maximum sizes of a part that is read at a time. A single payload may have more
// bytes.
const (
	pageJobs  = 256
	pageItems = 16 // items of unknown sizes
	pageBytes = 8 << 20
)

// pagesOf returns rows in parts, each of which is read at a time.
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

// Replay implements [store.Store]. Jobs that gearmand has queued come last, with new
// numbers.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	if err := s.replay(ctx, f); err != nil {
		return fmt.Errorf("replay from memcached: %w", err)
	}
	return nil
}

func (s *Store) replay(ctx context.Context, f func(*store.Record) error) error {
	if err := s.undoUncertain(ctx); err != nil {
		return err
	}
	if !s.lists {
		return nil
	}
	p := newPool(s.config.Servers)
	defer p.close()
	rows, foreign, err := s.readIndex(ctx, p, s.skip)
	if err != nil {
		return err
	}
	var last uint64
	if n := len(rows); n > 0 {
		last = rows[n-1].Seq
	}
	missing := 0
	for page := range pagesOf(rows) {
		payloads, err := s.readPayloads(ctx, p, page)
		if err != nil {
			return err
		}
		for i, w := range page {
			if payloads[i] == nil {
				if lost, err := s.stillExists(ctx, p, w); err != nil {
					return err
				} else if lost {
					s.skip(s.layout.rowKey(hiddenName(w.Seq)), &store.CorruptError{Where: fmt.Sprintf("job %d of %q", w.Seq, w.Function), Why: errPart.Error()})
				} else {
					missing++
				}
				continue
			}
			if err := f(w.withPayload(payloads[i])); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	if missing > 0 {
		s.log.Info("another server has done jobs, or memcached has evicted them", "jobs", missing)
	}
	return s.adopt(ctx, p, foreign, last, f)
}

// errPart is the error of a value in parts that is not complete.
var errPart = errors.New("memcached has evicted a part of it")

// stillExists reports whether a job without a complete payload still exists. That can
// be only a job with a payload in parts, which gearmand does not find.
func (s *Store) stillExists(ctx context.Context, p *pool, w *row) (bool, error) {
	if w.part == 0 {
		return false, nil
	}
	key := s.layout.rowKey(hiddenName(w.Seq))
	items, err := p.fetch(ctx, []string{key})
	return len(items) > 0, err
}

// undoUncertain removes the uncertain jobs.
func (s *Store) undoUncertain(ctx context.Context) error {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	if s.closed {
		return errClosed
	}
	if len(s.undo) == 0 {
		return ctx.Err()
	}
	return s.commitOps(ctx, nil)
}

// listKeys returns all keys that begin with one of the prefixes.
func (s *Store) listKeys(ctx context.Context, p *pool, prefixes ...string) ([]string, error) {
	var keys []string
	for i := range s.config.Servers {
		err := p.listServer(ctx, i, func(key string) bool {
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

// readIndex returns the rows of all jobs in the order of their numbers, and the keys
// of gearmand that have no row.
func (s *Store) readIndex(ctx context.Context, p *pool, skip func(string, error)) (rows []*row, foreign []string, err error) {
	prefix := s.layout.own + "j:"
	keys, err := s.listKeys(ctx, p, prefix, s.layout.prefix)
	if err != nil {
		return nil, nil, err
	}
	known := make(map[string]bool) // gearmand's keys that have a row
	for page := range slices.Chunk(keys, 1000) {
		page = slices.DeleteFunc(slices.Clone(page), func(key string) bool { return !strings.HasPrefix(key, prefix) })
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
				known[s.layout.prefix+s.layout.jobName(w.Record)] = true
			}
			rows = append(rows, w)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.part, b.part))
	})
	// A job has two rows if an interruption came while its name was changed.
	rows = slices.CompactFunc(rows, func(a, b *row) bool { return a.Seq == b.Seq })
	foreign = slices.DeleteFunc(keys, func(key string) bool { return known[key] || !strings.HasPrefix(key, s.layout.prefix) })
	return rows, foreign, nil
}

// readPayloads returns an item for each row, with the payload and gearmand's
// priority. An item is nil if it does not exist or is not complete.
func (s *Store) readPayloads(ctx context.Context, p *pool, rows []*row) ([]*item, error) {
	var keys []string
	for _, w := range rows {
		if w.part == 0 {
			keys = append(keys, s.layout.prefix+s.layout.jobName(w.Record))
		}
	}
	items, err := p.fetch(ctx, keys)
	if err != nil {
		return nil, err
	}
	found := make([]*item, len(rows))
	for i, w := range rows {
		if w.part == 0 {
			if it, ok := items[s.layout.prefix+s.layout.jobName(w.Record)]; ok {
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

// fetchParts returns a value that is in parts, or nil if it is not complete.
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

// withPayload returns the record of a row with the payload and the priority of its
// item. If gearmand has replaced the job by a newer one, the record has only the
// names of the row.
func (w *row) withPayload(it *item) *store.Record {
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

// LastSeq implements [store.Numbered].
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
		s.skip(s.layout.last, &store.CorruptError{Where: s.layout.last, Why: "it is not a number"})
	}
	return last, nil
}

// Check implements [store.Checker].
func (s *Store) Check(ctx context.Context, report func(what string)) error {
	p := newPool(s.config.Servers)
	defer p.close()
	rows, _, err := s.readIndex(ctx, p, func(what string, err error) { report(fmt.Sprintf("%s: %v", what, err)) })
	if err != nil {
		return fmt.Errorf("check memcached store: %w", err)
	}
	for page := range pagesOf(rows) {
		payloads, err := s.readPayloads(ctx, p, page)
		if err != nil {
			return fmt.Errorf("check memcached store: %w", err)
		}
		for i, w := range page {
			if payloads[i] == nil {
				report(fmt.Sprintf("job %d of %q has no payload: another server has done it, or memcached has evicted it", w.Seq, w.Function))
			}
		}
	}
	return nil
}
