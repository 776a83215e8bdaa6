package storetest

import (
	"errors"
	"fmt"
	"strings"

	"gm/pkg/store"
)

func testLock(r *fixture) {
	if _, ok := r.s.(store.Locker); !ok {
		return
	}
	r.close()
	r.s = r.place.Open(r.t)
	first := r.s.(store.Locker)
	eventually(r.t, "lock", func() bool { return first.TryLock(r.ctx, "first.example") == nil })
	r.commit(r.job("f", "u", []byte("p")))

	other := r.place.Open(r.t)
	defer func() {
		if other != nil {
			_ = other.Close()
		}
	}()
	second := other.(store.Locker)
	for range 3 {
		err := second.TryLock(r.ctx, "second.example")
		var held *store.HeldError
		if !errors.As(err, &held) {
			r.t.Fatalf("second TryLock: got %v, want a *HeldError", err)
		}
		if !strings.Contains(held.By, "first.example") {
			r.t.Errorf("second TryLock: held by %q, want first.example in it", held.By)
		}
	}
	select {
	case <-first.Lost():
		r.t.Errorf("lost is closed while the lock is held")
	default:
	}
	// The holder is not affected.
	r.commit(r.job("f", "v", []byte("p")))
	r.close()
	if err := second.TryLock(r.ctx, "second.example"); err != nil {
		r.t.Fatalf("TryLock after Close: %v", err)
	}

	r.s, other = other, nil
	r.compare()
	r.commit(r.job("f", "w", []byte("p")))
	r.check()
}

// testLockCrash checks that the crash of a holder frees the store.
func testLockCrash(r *fixture) {
	if _, ok := r.s.(store.Locker); !ok || r.place.Crash == nil {
		return
	}
	r.commit(r.job("f", "u", []byte("p")))
	other := r.place.Open(r.t)
	defer func() {
		if other != nil {
			_ = other.Close()
		}
	}()
	second := other.(store.Locker)
	var held *store.HeldError
	if err := second.TryLock(r.ctx, "second.example"); !errors.As(err, &held) {
		r.t.Fatalf("second TryLock: got %v, want a *HeldError", err)
	}
	r.crash()
	eventually(r.t, "lock after a crash", func() bool { return second.TryLock(r.ctx, "second.example") == nil })
	r.s, other = other, nil
	r.compare()
	r.commit(r.job("f", "v", []byte("p")))
	r.check()
}

func testCompact(r *fixture) {
	c, ok := r.s.(store.Compacter)
	if !ok {
		return
	}
	if err := c.Compact(r.ctx); err != nil {
		r.t.Fatalf("compact an empty store: %v", err)
	}
	var adds []store.Op
	for i := range 4000 {
		adds = append(adds, r.job("f", fmt.Sprint("u", i), payload(2000)))
	}
	r.commit(adds...)
	r.commit(put("extra", []byte("value")))
	for len(adds) > 40 {
		var ends []store.Op
		for _, op := range adds[:36] {
			ends = append(ends, done(op))
		}
		r.commit(ends...)
		adds = adds[36:]
	}
	var before int64
	if r.place.Size != nil {
		before = r.place.Size(r.t)
	}
	if err := c.Compact(r.ctx); err != nil {
		r.t.Fatalf("compact: %v", err)
	}
	if r.place.Size != nil {
		const enough = 2 << 20
		if after := r.place.Size(r.t); after >= before && after > enough {
			r.t.Errorf("size after compact: got %d, want less than %d", after, before)
		}
	}
	r.commit(r.job("f", "after", nil), done(adds[0]))
	if reader, ok := r.s.(store.Reader); ok {
		if got, err := readPayload(r, reader, adds[1]); err != nil || string(got) != string(adds[1].Record.Payload) {
			r.t.Errorf("payload after compact: got %s, %v", brief(got), err)
		}
	}
	r.check()
}

// testCheck checks that Check reports no fault of a healthy store.
func testCheck(r *fixture) {
	c, ok := r.s.(store.Checker)
	if !ok {
		return
	}
	check := func() {
		r.t.Helper()
		err := c.Check(r.ctx, func(what string) { r.t.Errorf("check of a healthy store: %s", what) })
		if err != nil {
			r.t.Fatalf("check: %v", err)
		}
	}
	check()
	var adds []store.Op
	for i, name := range awkward {
		adds = append(adds, r.job(name, name, payload(i*301)), r.job(name, "", nil), put(fmt.Sprint("extra", i), []byte(name)))
	}
	r.commit(adds...)
	check()
	for i, op := range adds {
		if i%2 == 0 && op.Kind == store.Add {
			r.commit(done(op))
		}
	}
	check()
	r.check()
}
