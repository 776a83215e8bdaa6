package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"gm/pkg/store"
)

// fixture is a test's store and its expected contents.
type fixture struct {
	t     *testing.T
	ctx   context.Context
	place Place
	s     store.Store // nil while none is open
	caps  store.Caps
	seq   uint64

	// The expected contents.
	jobs   map[uint64]store.Record
	extras map[string][]byte
}

func newFixture(t *testing.T, place Place) *fixture {
	r := &fixture{
		t: t, ctx: t.Context(), place: place,
		seq:    7_000_000_000_000_000, // close to the result of FirstSeq
		jobs:   make(map[uint64]store.Record),
		extras: make(map[string][]byte),
	}
	t.Cleanup(func() {
		if r.s != nil { // the test failed
			_ = r.s.Close()
		}
	})
	r.open()
	return r
}

// open opens the store and takes its lock if it has one.
func (r *fixture) open() {
	r.t.Helper()
	r.s = r.place.Open(r.t)
	r.caps = r.s.Caps()
	if l, ok := r.s.(store.Locker); ok {
		eventually(r.t, "lock free after the last holder's end", func() bool {
			err := l.TryLock(r.ctx, "suite")
			if held := new(store.HeldError); err != nil && !errors.As(err, &held) {
				r.t.Fatalf("lock: %v", err)
			}
			return err == nil
		})
	}
}

func (r *fixture) close() {
	r.t.Helper()
	if err := r.s.Close(); err != nil {
		r.t.Fatalf("close: %v", err)
	}
	r.s = nil
}

// crash abandons the store without closing it, where that is possible.
func (r *fixture) crash() {
	r.t.Helper()
	if r.place.Crash == nil {
		r.close()
		return
	}
	r.place.Crash(r.t, r.s)
	r.s = nil
}

// lists reports whether a new store finds the contents of the old one.
func (r *fixture) lists() bool { return r.caps.Durable && r.caps.Lists }

// commit commits one batch.
func (r *fixture) commit(batch ...store.Op) {
	r.t.Helper()
	if err := r.s.Commit(r.ctx, batch); err != nil {
		r.t.Fatalf("commit %d operations: %v", len(batch), err)
	}
	r.expect(batch)
}

// expect applies batch to the expected contents.
func (r *fixture) expect(batch []store.Op) {
	for _, op := range batch {
		switch op.Kind {
		case store.Add:
			kept := *op.Record
			kept.Apart = false
			r.jobs[kept.Seq] = kept
		case store.Done:
			delete(r.jobs, op.Record.Seq)
		case store.Update:
			if j, ok := r.jobs[op.Record.Seq]; ok {
				j.Attempts, j.RunAt = op.Record.Attempts, op.Record.RunAt
				r.jobs[j.Seq] = j
			}
		case store.Put:
			r.extras[op.Key] = op.Value
		case store.Delete:
			delete(r.extras, op.Key)
		}
	}
}

// job returns the Add of a new job. Its other fields have the usual values.
func (r *fixture) job(function, unique string, payload []byte) store.Op {
	r.seq++
	return store.Op{Kind: store.Add, Record: &store.Record{
		Seq: r.seq, Function: function, Unique: unique, Payload: payload, Priority: 1, Accepted: 1_795_000_000_123,
	}}
}

// done returns the end of the job that add adds, as a server sends it: with
// only the fields that identify the job.
func done(add store.Op) store.Op {
	j := add.Record
	return store.Op{Kind: store.Done, Record: &store.Record{Seq: j.Seq, Function: j.Function, Unique: j.Unique}}
}

// update returns the update of the job that add adds.
func update(add store.Op, attempts int, runAt int64) store.Op {
	op := done(add)
	op.Kind, op.Record.Attempts, op.Record.RunAt = store.Update, attempts, runAt
	return op
}

// check crashes the store and checks that a new one finds the expected
// contents.
func (r *fixture) check() {
	r.t.Helper()
	r.crash()
	r.open()
	r.compare()
}

// compare checks that the newly opened store has the expected contents, in
// order.
func (r *fixture) compare() {
	r.t.Helper()
	got := r.replay()
	want := slices.SortedFunc(maps.Values(r.jobs), func(a, b store.Record) int {
		return cmp.Compare(a.Seq, b.Seq)
	})
	r.compareJobs("replay", got, want)
	r.compareExtras("")
	reader, ok := r.s.(store.Reader)
	if !ok {
		return
	}
	var heads []store.Record
	i := 0
	err := reader.ReplayHeads(r.ctx, func(j *store.Record, size int) error {
		if j.Payload != nil {
			r.t.Errorf("replay heads: job %d has a payload", j.Seq)
		}
		if i < len(got) && size != len(got[i].Payload) {
			r.t.Errorf("replay heads: job %d: got size %d, want %d", j.Seq, size, len(got[i].Payload))
		}
		i++
		heads = append(heads, *j)
		return nil
	})
	if err != nil {
		r.t.Fatalf("replay heads: %v", err)
	}
	for i := range got {
		got[i].Payload = nil
	}
	if err := sameJobs(heads, got); err != nil {
		r.t.Fatalf("replay heads and replay differ: %v", err)
	}
}

// replay returns all jobs of Replay.
func (r *fixture) replay() []store.Record {
	r.t.Helper()
	var got []store.Record
	err := r.s.Replay(r.ctx, func(j *store.Record) error {
		got = append(got, *j)
		return nil
	})
	if err != nil {
		r.t.Fatalf("replay: %v", err)
	}
	return got
}

// compareJobs checks that got equals want, or is a part of it if the store does
// not promise to find everything.
func (r *fixture) compareJobs(what string, got, want []store.Record) {
	r.t.Helper()
	if !r.lists() {
		found := make(map[uint64]bool)
		for _, j := range got {
			found[j.Seq] = true
		}
		want = slices.DeleteFunc(want, func(j store.Record) bool { return !found[j.Seq] })
	}
	if err := sameJobs(got, want); err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// compareExtras is compareJobs for the extras under prefix.
func (r *fixture) compareExtras(prefix string) {
	r.t.Helper()
	got := make(map[string][]byte)
	err := r.s.Extras(r.ctx, prefix, func(key string, value []byte) error {
		if _, ok := got[key]; ok {
			r.t.Errorf("extras %q: %q comes twice", prefix, key)
		}
		got[key] = value
		return nil
	})
	if err != nil {
		r.t.Fatalf("extras %q: %v", prefix, err)
	}
	n := 0
	for key, value := range r.extras {
		if !bytes.HasPrefix([]byte(key), []byte(prefix)) {
			continue
		}
		n++
		if v, ok := got[key]; ok && !bytes.Equal(v, value) {
			r.t.Errorf("extras %q: %q: got %s, want %s", prefix, key, brief(v), brief(value))
		} else if !ok && r.lists() {
			r.t.Errorf("extras %q: %q is missing", prefix, key)
		}
	}
	if len(got) > n {
		r.t.Errorf("extras %q: got %d, want %d", prefix, len(got), n)
	}
	if prefix != "" {
		r.compareExtra(prefix)
	}
}

// compareExtra checks that Extra finds the value under key, and nothing if
// there is none.
func (r *fixture) compareExtra(key string) {
	r.t.Helper()
	got, err := r.s.Extra(r.ctx, key)
	want, there := r.extras[key]
	switch {
	case !there && !errors.Is(err, store.ErrNotFound):
		r.t.Errorf("extra %q: got %s, %v, want %v", key, brief(got), err, store.ErrNotFound)
	case there && errors.Is(err, store.ErrNotFound) && !r.caps.Durable: // the store may have forgotten it
	case there && err != nil:
		r.t.Errorf("extra %q: %v", key, err)
	case !bytes.Equal(got, want):
		r.t.Errorf("extra %q: got %s, want %s", key, brief(got), brief(want))
	}
}

// sameJobs returns the first difference of two lists.
func sameJobs(got, want []store.Record) error {
	for i := range min(len(got), len(want)) {
		if g, w := describe(&got[i]), describe(&want[i]); g != w {
			return fmt.Errorf("job %d of %d:\n got %s\nwant %s", i, len(want), g, w)
		}
		if !bytes.Equal(got[i].Payload, want[i].Payload) {
			return fmt.Errorf("job %d of %d: payload: got %s, want %s", i, len(want), brief(got[i].Payload), brief(want[i].Payload))
		}
	}
	switch {
	case len(got) < len(want):
		return fmt.Errorf("got %d jobs, want %d; the first that is missing: %s", len(got), len(want), describe(&want[len(got)]))
	case len(got) > len(want):
		return fmt.Errorf("got %d jobs, want %d; the first too many: %s", len(got), len(want), describe(&got[len(want)]))
	}
	return nil
}

// describe prints all fields of a job except its payload.
func describe(j *store.Record) string {
	return fmt.Sprintf("seq %d function %q unique %q reducer %q priority %d run at %d accepted %d attempts %d",
		j.Seq, j.Function, j.Unique, j.Reducer, j.Priority, j.RunAt, j.Accepted, j.Attempts)
}

// brief prints the beginning of b.
func brief(b []byte) string {
	return fmt.Sprintf("%d bytes %.40q", len(b), b)
}
