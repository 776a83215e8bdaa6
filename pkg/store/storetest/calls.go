package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"gm/pkg/store"
)

// testOwnership checks that a store does not keep the memory of a batch, and
// that the caller owns the data that the store returns.
func testOwnership(r *fixture) {
	var batch []store.Op
	for i := range 20 {
		batch = append(batch, r.job("f", fmt.Sprint("u", i), fmt.Appendf(nil, "payload %d", i)))
		batch = append(batch, put(fmt.Sprint("key", i), fmt.Appendf(nil, "value %d", i)))
	}
	r.commit(batch...)
	for _, op := range batch {
		if op.Record != nil {
			kept := *op.Record
			kept.Payload = bytes.Clone(kept.Payload)
			r.jobs[kept.Seq] = kept
			clear(op.Record.Payload)
			*op.Record = store.Record{}
		} else {
			r.extras[op.Key] = bytes.Clone(op.Value)
			clear(op.Value)
		}
	}
	clear(batch)
	r.commit(r.job("f", "after", []byte("after")))
	r.check()

	// The first record is still unchanged when the last has arrived, and may be
	// written to.
	got := r.replay()
	for i := range got {
		got[i].Payload = append(got[i].Payload, "more"...)
		clear(got[i].Payload)
	}
	err := r.s.Extras(r.ctx, "", func(_ string, value []byte) error {
		clear(append(value, "more"...))
		return nil
	})
	if err != nil {
		r.t.Fatalf("extras: %v", err)
	}
	for key := range r.extras {
		value, err := r.s.Extra(r.ctx, key)
		if err != nil && r.lists() {
			r.t.Fatalf("extra %q: %v", key, err)
		}
		clear(append(value, "more"...))
	}
	r.compare()
}

func testReplayStopped(r *fixture) {
	var batch []store.Op
	for i := range 3000 {
		batch = append(batch, r.job("f", fmt.Sprint("u", i), []byte("p")))
	}
	r.commit(batch...)
	r.crash()
	r.open()
	if !r.lists() {
		return
	}
	stop := errors.New("stop")
	n := 0
	err := r.s.Replay(r.ctx, func(*store.Record) error {
		if n++; n == 1500 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 1500 {
		r.t.Errorf("replay whose f fails: got %v after %d calls, want %v after 1500", err, n, stop)
	}
	if reader, ok := r.s.(store.Reader); ok {
		n = 0
		err := reader.ReplayHeads(r.ctx, func(*store.Record, int) error { n++; return stop })
		if !errors.Is(err, stop) || n != 1 {
			r.t.Errorf("replay heads whose f fails: got %v after %d calls, want %v after 1", err, n, stop)
		}
	}
	r.compare()

	ctx, cancel := context.WithCancel(r.ctx)
	err = r.s.Replay(ctx, func(*store.Record) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		r.t.Errorf("replay with a context that is cancelled meanwhile: got %v, want %v", err, context.Canceled)
	}
	r.compare()
}

// testCancelled checks that a batch whose context is cancelled is stored
// completely or not at all, as Commit reported, and that the next batch is not
// affected.
func testCancelled(r *fixture) {
	before := r.job("f", "before", []byte("p"))
	r.commit(before)
	for i := range 10 {
		ctx, cancel := context.WithCancel(r.ctx)
		cancel()
		batch := []store.Op{r.job("f", fmt.Sprint("cancelled", i), []byte("p")), r.job("f", "", []byte("p"))}
		if err := r.s.Commit(ctx, batch); err == nil {
			r.expect(batch)
		}
		eventually(r.t, "commit after a cancelled one", func() bool {
			next := r.job("f", fmt.Sprint("next", r.seq), []byte("p"))
			err := r.s.Commit(r.ctx, []store.Op{next})
			if err == nil {
				r.expect([]store.Op{next})
			}
			return err == nil
		})
	}
	r.check()
}

// testFailing checks that nothing is left of a failed batch.
func testFailing(r *fixture) {
	if r.place.Fail == nil {
		return
	}
	var adds []store.Op
	for i := range 20 {
		adds = append(adds, r.job("f", fmt.Sprint("u", i), payload(100)))
	}
	r.commit(adds...)
	for round := range 3 {
		restore := r.place.Fail(r.t, r.s)
		for i := range 3 {
			var batch []store.Op
			for n := range 50 {
				batch = append(batch, r.job("f", fmt.Sprint("refused", round, i, n), payload(20_000)), put(fmt.Sprint("refused", n), nil))
			}
			batch = append(batch, done(adds[round]))
			err := r.s.Commit(r.ctx, batch)
			if err == nil {
				restore()
				r.t.Fatalf("commit while the store fails: got nil, want an error")
			}
		}
		restore()
		var after []store.Op
		eventually(r.t, "commit once the store works again", func() bool {
			after = []store.Op{r.job("f", fmt.Sprint("after", r.seq), payload(30_000)), done(adds[10+round])}
			return r.s.Commit(r.ctx, after) == nil
		})
		r.expect(after)
	}
	if r.caps.Atomic { // otherwise the store may have a part of the refused batch
		r.check()
	}
}
