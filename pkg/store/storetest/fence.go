package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"gm/pkg/store"
)

// SeeFence checks that of two stores whose locks do not exclude each other, as
// on two nodes of a cluster or behind a pooler, only one can commit. Both use
// the same place, which is empty. overtake writes the fence like a third store
// that locks the place and frees it.
func SeeFence(t *testing.T, open func() store.Store, overtake func()) {
	first, second := open(), open()
	r := &fixture{t: t, ctx: t.Context(), s: first, caps: first.Caps(), seq: 7_000_000_000_000_000, jobs: map[uint64]store.Record{}, extras: map[string][]byte{}}
	if err := first.(store.Locker).TryLock(r.ctx, "first"); err != nil {
		t.Fatal(err)
	}
	r.commit(r.job("f", "u", []byte("by the first")))
	var held *store.HeldError
	if err := second.(store.Locker).TryLock(r.ctx, "second"); !errors.As(err, &held) {
		t.Fatalf("second TryLock while the first is at work: got %v, want a *HeldError", err)
	}
	// The first works until it detects that it has lost the store.
	lost := make(chan error, 1)
	go func() {
		for {
			batch := []store.Op{r.job("f", "", []byte("by the first")), r.job("f", fmt.Sprint("u", r.seq), nil)}
			if err := first.Commit(r.ctx, batch); err != nil {
				lost <- err
				return
			}
			r.expect(batch)
		}
	}()
	overtake()
	r.lockFree(second, "second")
	if err := <-lost; errors.As(err, new(*store.UncertainError)) {
		t.Errorf("commit that was overtaken: got %v, want that it is not done", err)
	}
	r.s = second
	r.compare()
	// Any commit of the first comes too late now, whether it has noticed or
	// not.
	if err := first.Commit(r.ctx, []store.Op{r.job("f", "late", []byte("by the first"))}); err == nil {
		t.Error("commit after another has taken the store: got nil, want an error")
	}
	select {
	case <-first.(store.Locker).Lost():
	case <-time.After(patience):
		t.Errorf("lost is not closed after %v", patience)
	}
	r.commit(r.job("f", "v", []byte("by the second")))
	r.compare()
	// That holds even after the second has ended: it may have done the first's
	// jobs.
	r.close()
	if err := first.Commit(r.ctx, []store.Op{r.job("f", "late", nil)}); err == nil {
		t.Error("commit after another has had the store: got nil, want an error")
	}
	if err := first.Close(); err != nil {
		t.Errorf("close of the first: %v", err)
	}
	third := open()
	r.lockFree(third, "third")
	r.s = third
	r.compare()
	r.close()
}

// lockFree locks a store that is free. Another node may learn that a moment later.
func (r *fixture) lockFree(s store.Store, name string) {
	r.t.Helper()
	eventually(r.t, "lock by the "+name, func() bool {
		err := s.(store.Locker).TryLock(r.ctx, name)
		if err != nil && !errors.As(err, new(*store.HeldError)) {
			r.t.Fatalf("lock by the %s: %v", name, err)
		}
		return err == nil
	})
}
