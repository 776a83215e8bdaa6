// Package deferred keeps the commits of a server in memory and writes them to a
// store at the end, like gearmand's --store-queue-on-shutdown. Jobs that end
// before never reach the store, and a killed server loses all jobs since its
// start.
package deferred

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"gm/pkg/store"
)

// The limits of one batch of [Store.Flush].
const (
	maxBatchOps   = 1000
	maxBatchBytes = 4 << 20
)

// Store is a [store.Store] that passes reads on to another and keeps changes in
// memory until Flush. It is safe for concurrent use.
type Store struct {
	inner store.Store

	mu      sync.Mutex
	added   map[uint64]*store.Record // by Seq
	changed map[uint64]*store.Record // Updates of jobs that the inner store has
	done    map[uint64]*store.Record // Dones of them
	extras  map[string][]byte        // nil for a Delete
}

// New returns a Store before inner. The inner store is closed by Flush.
func New(inner store.Store) *Store {
	return &Store{
		inner: inner,
		added: map[uint64]*store.Record{}, changed: map[uint64]*store.Record{}, done: map[uint64]*store.Record{},
		extras: map[string][]byte{},
	}
}

// Commit keeps a copy of the batch. An operation over a limit of the inner store
// is refused as it would be there.
func (s *Store) Commit(_ context.Context, batch []store.Op) error {
	if err := s.inner.Caps().RefuseBatch(batch); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch {
		s.keep(&batch[i])
	}
	return nil
}

// keep takes one operation. The lock is held.
func (s *Store) keep(op *store.Op) {
	switch op.Kind {
	case store.Add:
		r := *op.Record
		r.Payload = bytes.Clone(r.Payload)
		s.added[r.Seq] = &r
	case store.Done:
		if s.added[op.Record.Seq] != nil {
			delete(s.added, op.Record.Seq)
			return
		}
		delete(s.changed, op.Record.Seq)
		s.done[op.Record.Seq] = withoutPayload(op.Record)
	case store.Update:
		r := withoutPayload(op.Record)
		if added := s.added[r.Seq]; added != nil {
			r.Payload = added.Payload
			s.added[r.Seq] = r
			return
		}
		s.changed[r.Seq] = r
	case store.Put:
		s.extras[op.Key] = append([]byte{}, op.Value...)
	case store.Delete:
		s.extras[op.Key] = nil
	}
}

func withoutPayload(r *store.Record) *store.Record {
	c := *r
	c.Payload = nil
	return &c
}

// Replay calls f for the jobs of the inner store, as they are there.
func (s *Store) Replay(ctx context.Context, f func(*store.Record) error) error {
	return s.inner.Replay(ctx, f)
}

// Extras calls f for the extras of the inner store, as they are there.
func (s *Store) Extras(ctx context.Context, prefix string, f func(string, []byte) error) error {
	return s.inner.Extras(ctx, prefix, f)
}

// Extra returns the extra under key as it was committed last.
func (s *Store) Extra(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	value, changed := s.extras[key]
	s.mu.Unlock()
	switch {
	case !changed:
		return s.inner.Extra(ctx, key)
	case value == nil:
		return nil, store.ErrNotFound
	}
	return bytes.Clone(value), nil
}

// LastSeq returns the highest number that the inner store has, 0 if it does not
// know.
func (s *Store) LastSeq(ctx context.Context) (uint64, error) {
	if n, ok := s.inner.(store.Numbered); ok {
		return n.LastSeq(ctx)
	}
	return 0, nil
}

// Caps returns the limits of the inner store, and promises nothing.
func (s *Store) Caps() store.Caps {
	caps := s.inner.Caps()
	caps.Durable, caps.Synced, caps.Atomic = false, false, true
	return caps
}

// Close does nothing: Flush closes the inner store, and takes as long as it takes.
func (s *Store) Close() error { return nil }

// Flush writes all that is kept to the inner store, in the order of the jobs,
// and closes it. It returns how many jobs it has added. An operation that the
// inner store refuses is left out and is part of the error; any other error
// ends the writing.
func (s *Store) Flush(ctx context.Context) (jobs int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refused []error
	ops := s.operations()
	for len(ops) > 0 && err == nil {
		n := batchLen(ops)
		err = s.inner.Commit(ctx, ops[:n])
		if r := (*store.RefusedError)(nil); errors.As(err, &r) && r.Index >= 0 && r.Index < n {
			refused = append(refused, fmt.Errorf("store %s: %w", describe(&ops[r.Index]), r.Err))
			ops, err = slices.Delete(ops, r.Index, r.Index+1), nil
			continue
		}
		if err != nil {
			err = fmt.Errorf("store the queue: %d jobs and changes are lost: %w", len(ops), err)
			break
		}
		for i := range ops[:n] {
			if ops[i].Kind == store.Add {
				jobs++
			}
		}
		ops = ops[n:]
	}
	return jobs, errors.Join(append(refused, err, s.inner.Close())...)
}

// operations returns the operations that bring the inner store up to date.
func (s *Store) operations() []store.Op {
	var ops []store.Op
	for _, of := range []struct {
		kind    store.Kind
		records map[uint64]*store.Record
	}{{store.Done, s.done}, {store.Update, s.changed}, {store.Add, s.added}} {
		for _, seq := range slices.Sorted(maps.Keys(of.records)) {
			ops = append(ops, store.Op{Kind: of.kind, Record: of.records[seq]})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.extras)) {
		if value := s.extras[key]; value != nil {
			ops = append(ops, store.Op{Kind: store.Put, Key: key, Value: value})
		} else {
			ops = append(ops, store.Op{Kind: store.Delete, Key: key})
		}
	}
	return ops
}

// batchLen returns how many of the operations make one batch.
func batchLen(ops []store.Op) int {
	size := 0
	for i := range ops {
		if size += len(ops[i].Value); ops[i].Record != nil {
			size += len(ops[i].Record.Payload)
		}
		if i > 0 && (size > maxBatchBytes || i == maxBatchOps) {
			return i
		}
	}
	return len(ops)
}

func describe(op *store.Op) string {
	if op.Record != nil {
		return fmt.Sprintf("job %d of %q", op.Record.Seq, op.Record.Function)
	}
	return fmt.Sprintf("%q", op.Key)
}
