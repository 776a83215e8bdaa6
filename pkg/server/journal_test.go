package server_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"gm/pkg/store"
)

// journal is a store in memory. A test may hold its Commits back and make them
// fail.
type journal struct {
	store.Memory

	mu      sync.Mutex
	records map[uint64]*store.Record
	extras  map[string][]byte
	early   []uint64 // Dones without an Add before
	closed  bool
	last    error // of the last Commit; the committer's

	entered chan int      // if not nil, gets the number of ops at each Commit
	gate    chan error    // then each Commit waits for its result
	opened  chan struct{} // until this is closed
	once    sync.Once
	fail    func(ops int) error // if not nil, decides
}

func newJournal(records ...*store.Record) *journal {
	j := &journal{records: make(map[uint64]*store.Record), extras: make(map[string][]byte)}
	for _, r := range records {
		j.records[r.Seq] = r
	}
	return j
}

// gated returns a journal whose Commits wait for the test.
func gated() *journal {
	j := newJournal()
	j.entered, j.gate, j.opened = make(chan int), make(chan error), make(chan struct{})
	return j
}

// open lets all Commits through from now on.
func (j *journal) open() {
	if j.opened != nil {
		j.once.Do(func() { close(j.opened) })
	}
}

// wait is a gated journal's part of Commit.
func (j *journal) wait(ctx context.Context, ops int) error {
	select {
	case j.entered <- ops:
	case <-j.opened:
	case <-ctx.Done():
	}
	select {
	case err := <-j.gate:
		return err
	case <-j.opened:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (j *journal) Commit(ctx context.Context, ops []store.Op) (err error) {
	if len(ops) == 1 && ops[0].Kind == store.Delete && ops[0].Key == "probe" {
		return j.last // a store that fails fails for this too
	}
	defer func() { j.last = err }()
	if n := countVisible(ops); n > 0 || len(ops) == 0 {
		if j.entered != nil {
			if err := j.wait(ctx, n); err != nil {
				return err
			}
		}
		if j.fail != nil {
			if err := j.fail(n); err != nil {
				return err
			}
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, op := range ops {
		var seq uint64
		if op.Record != nil {
			seq = op.Record.Seq
		}
		switch op.Kind {
		case store.Put:
			j.extras[op.Key] = slices.Clone(op.Value)
		case store.Delete:
			delete(j.extras, op.Key)
		case store.Update:
			if r := j.records[seq]; r != nil {
				r.Attempts, r.RunAt = op.Record.Attempts, op.Record.RunAt
			}
		case store.Add:
			r := *op.Record
			r.Payload = slices.Clone(r.Payload)
			j.records[seq] = &r
		case store.Done:
			if r := j.records[seq]; r == nil {
				j.early = append(j.early, seq)
			}
			delete(j.records, seq)
		}
	}
	return nil
}

// countVisible returns the number of operations that are not the server's own.
func countVisible(ops []store.Op) (n int) {
	for _, op := range ops {
		if op.Key != "number" {
			n++
		}
	}
	return n
}

func (j *journal) Caps() store.Caps { return store.Caps{Durable: true, Atomic: true, Lists: true} }

func (j *journal) LastSeq(context.Context) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := uint64(0)
	for seq := range j.records {
		last = max(last, seq)
	}
	return last, nil
}

func (j *journal) Extras(_ context.Context, prefix string, f func(string, []byte) error) error {
	j.mu.Lock()
	extras := maps.Clone(j.extras)
	j.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(extras)) {
		if strings.HasPrefix(key, prefix) {
			if err := f(key, slices.Clone(extras[key])); err != nil {
				return err
			}
		}
	}
	return nil
}

func (j *journal) Extra(_ context.Context, key string) ([]byte, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	value, ok := j.extras[key]
	if !ok {
		return nil, store.ErrNotFound
	}
	return slices.Clone(value), nil
}

func (j *journal) Replay(_ context.Context, f func(*store.Record) error) error {
	for _, r := range j.all() {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

// all returns copies of the records, in order.
func (j *journal) all() []*store.Record {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []*store.Record
	for _, seq := range slices.Sorted(maps.Keys(j.records)) {
		r := *j.records[seq]
		r.Payload = slices.Clone(r.Payload)
		all = append(all, &r)
	}
	return all
}

// copied returns what another server would find if this one was killed now.
func (j *journal) copied() *journal {
	j.mu.Lock() // once: a job may go from one to the other
	defer j.mu.Unlock()
	c := newJournal()
	for seq, r := range j.records {
		one := *r
		one.Payload = slices.Clone(r.Payload)
		c.records[seq] = &one
	}
	c.extras = maps.Clone(j.extras)
	return c
}

// keys returns the kinds of the extras, in order: dead dead policy.
func (j *journal) keys() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var kinds []string
	for _, key := range slices.Sorted(maps.Keys(j.extras)) {
		if kind, _, _ := strings.Cut(key, "/"); kind != "number" {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " ")
}

func (j *journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	return nil
}

// payloads returns what is in the store, in order, and whether the store was
// ever told of an end before its beginning.
func (j *journal) payloads(t *testing.T) string {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.early) > 0 {
		t.Errorf("Done before Add: %d", j.early)
	}
	var all []string
	for _, seq := range slices.Sorted(maps.Keys(j.records)) {
		all = append(all, string(j.records[seq].Payload))
	}
	return strings.Join(all, " ")
}
