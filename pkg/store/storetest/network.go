package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gm/pkg/store"
)

// RunNetwork is the suite for stores whose engine is across a network. It tests
// batches, the lock and time limits when the connection is lost. Each test has
// a place of its own.
func RunNetwork(t *testing.T, f func(t *testing.T) Network) {
	runLineTests(t, f, []lineTest{
		{"idle connection lost", testIdleLost},
		{"connection lost in mid-batch", testBatchLost},
		{"answer lost", testAnswerLost},
		{"silence", testSilence},
		{"lock passes", testLockPasses},
		{"server restarted", testRestarted},
		{"server killed under load", testKilled},
	})
}

func testIdleLost(l *line) {
	l.commit(l.batch(3, []byte("before"))...)
	for range 3 {
		l.proxy.Cut()
		l.recover()
	}
	l.reopen()
}

func testBatchLost(l *line) {
	l.commit(l.batch(3, []byte("before"))...)
	large := payload(1000)
	for _, n := range []int{0, 1, 100, 1000, 5_000, 20_000, 40_000, 80_000} {
		l.proxy.CutAfter(ToServer, n)
		batch := l.batch(60, large)
		if err := l.s.Commit(l.ctx, batch); err == nil {
			l.expect(batch)
		}
		l.recover()
	}
	for _, n := range []int{0, 1, 5, 20, 50, 100} {
		l.proxy.CutAfter(ToClient, n)
		for range 3 {
			batch := l.batch(5, []byte("answer cut"))
			if err := l.s.Commit(l.ctx, batch); err == nil {
				l.expect(batch)
			}
		}
		l.recover()
	}
	l.reopen()
}

func testAnswerLost(l *line) {
	kept := l.batch(3, []byte("before"))
	l.commit(kept...)
	mark := func(s string) []byte { return []byte(s) }
	if l.Mark != nil {
		mark = l.Mark
	}
	for i := range 5 {
		text := fmt.Sprint("the mark of batch ", i)
		l.proxy.LoseAnswerTo(mark(text))
		batch := append(l.batch(10, []byte(text)), put("key", nil))
		err := l.s.Commit(l.ctx, batch)
		var uncertain *store.UncertainError
		if !errors.As(err, &uncertain) {
			l.t.Fatalf("commit whose answer is lost: got %v, want an UncertainError", err)
		}
		// The next commit shows whether it was stored.
		l.commit(l.batch(1, []byte("after"))...)
	}
	l.commit(put("key", []byte("set")))
	l.reopen()
}

func testSilence(l *line) {
	l.commit(l.batch(3, []byte("before"))...)
	for range 2 {
		l.proxy.Stall()
		for range 2 {
			start := time.Now()
			ctx, cancel := context.WithTimeout(l.ctx, 300*time.Millisecond)
			err := l.s.Commit(ctx, l.batch(10, []byte("unheard")))
			cancel()
			if err == nil {
				l.t.Fatalf("commit that does not reach the server: got nil, want an error")
			}
			if took := time.Since(start); took > 2*time.Second {
				l.t.Errorf("commit with 300 ms to go took %v", took)
			}
		}
		// The bytes that were held back reach the server now.
		l.proxy.Resume()
		l.recover()
	}
	l.reopen()
}

func testLockPasses(l *line) {
	first, ok := l.s.(store.Locker)
	if !ok {
		return
	}
	l.commit(l.batch(3, []byte("before"))...)
	other := l.Open(l.t, l.Addr)
	second := other.(store.Locker)
	var held *store.HeldError
	if err := second.TryLock(l.ctx, "second"); !errors.As(err, &held) {
		l.t.Fatalf("second TryLock: got %v, want a *HeldError", err)
	}
	l.proxy.Refuse(true)
	l.proxy.Cut()
	eventually(l.t, "lock after the holder's connection is gone", func() bool { return second.TryLock(l.ctx, "second") == nil })
	l.proxy.Refuse(false)
	select {
	case <-first.Lost():
	case <-time.After(patience):
		l.t.Fatalf("lost is not closed after %v", patience)
	}
	for range 3 {
		if err := l.s.Commit(l.ctx, l.batch(1, []byte("too late"))); err == nil {
			l.t.Errorf("commit without the lock: got nil, want an error")
		}
	}
	l.close()
	l.s = other
	l.commit(l.batch(1, []byte("by the second"))...)
	l.reopen()
}

func testRestarted(l *line) {
	if l.Kill == nil {
		return
	}
	l.commit(l.batch(100, []byte("before"))...)
	l.Kill()
	for range 3 {
		start := time.Now()
		if err := l.s.Commit(l.ctx, l.batch(1, []byte("in between"))); err == nil {
			l.t.Errorf("commit without a server: got nil, want an error")
		}
		if took := time.Since(start); took > 10*time.Second {
			l.t.Errorf("commit without a server took %v", took)
		}
	}
	l.Start(l.t)
	l.recover()
	l.reopen()
}

func testKilled(l *line) {
	if l.Kill == nil || !l.lists() {
		return
	}
	for round := range 5 {
		// The server crashes while batches are on their way.
		batches := 0
		killed := make(chan struct{})
		begun := make(chan struct{})
		go func() {
			<-begun
			l.Kill()
			close(killed)
		}()
		for {
			batch := l.batch(20, []byte("under load"))
			for _, op := range l.jobs {
				if batches%3 == 0 && len(batch) < 25 {
					record := op
					batch = append(batch, done(store.Op{Record: &record}))
				}
			}
			adds := batch[:20]
			if err := l.s.Commit(l.ctx, batch); err != nil {
				var uncertain *store.UncertainError
				if errors.As(err, &uncertain) {
					// The Adds are undone; the ends may have been stored: a
					// server sends them again.
					l.t.Logf("round %d: %d batches, then %v", round, batches, err)
					<-killed
					l.Start(l.t)
					l.again(batch[len(adds):])
				} else {
					<-killed
					l.Start(l.t)
				}
				break
			}
			l.expect(batch)
			if batches++; batches == 30+20*round {
				close(begun)
			}
		}
		l.recover()
		l.reopen()
		l.close()
		l.open()
	}
}
