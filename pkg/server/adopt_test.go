package server_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"gm/pkg/server"
	"gm/pkg/store"
	"gm/pkg/wire"
)

// adopting is a journal with jobs of another server, which have no number before
// they are read.
type adopting struct {
	plain
	store.Floor
	foreign []string
}

func (a *adopting) Replay(ctx context.Context, f func(*store.Record) error) error {
	if err := a.plain.Replay(ctx, f); err != nil {
		return err
	}
	first := a.AdoptFrom(time.Now(), 0)
	for i, payload := range a.foreign {
		if err := f(&store.Record{Seq: first + 1 + uint64(i), Function: "f", Payload: []byte(payload)}); err != nil {
			return err
		}
	}
	return nil
}

// A job of another server does not get a number that was given out before,
// though the clock is behind and the store has no job.
func TestNumbersOfAdoptedJobsWhenTheClockIsBehind(t *testing.T) {
	st := newJournal()
	seen := make(map[string]bool)
	for i := range 3 {
		synctest.Test(t, func(t *testing.T) { // each at the same moment
			s, dial := startPiped(t, server.Config{Store: &adopting{plain: plain{st}, foreign: []string{"a", "b"}}})
			c, w := dial(), dial()
			w.send(req(wire.CanDo, "f"))
			for range 100 {
				c.submit(wire.SubmitJob, "f", "", "x")
			}
			for n := range 102 {
				h := w.grab()
				if seen[h] {
					t.Fatalf("start %d: the job %d is %s, which was given out before", i, n, h)
				}
				seen[h] = true
				w.send(req(wire.WorkComplete, h, ""))
			}
			w.sync()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A store may bring jobs out of order, such as those that it has found in a wrong
// place, and fail in between: all are taken in, once.
func TestReplayOutOfOrderFails(t *testing.T) {
	t.Parallel()
	for name, mem := range map[string]int64{"payloads": 0, "heads": 50_000} {
		t.Run(name, func(t *testing.T) {
			st := &shuffled{library: newLibrary(backlog(3 * chunk)...), failAt: []int{10, chunk + 5, 2*chunk + 2}}
			s, addr := startLoading(t, server.Config{Store: st, Memory: mem})
			w := worker(t, addr, "f")
			if err := s.Restored(t.Context()); err != nil {
				t.Fatal(err)
			}
			seen := make(map[string]bool)
			for {
				w.send(req(wire.GrabJob))
				one := w.next()
				if one.Type == wire.NoJob {
					break
				}
				payload := string(one.Last())
				if seen[payload] {
					t.Fatalf("%s came twice", payload)
				}
				seen[payload] = true
				w.send(req(wire.WorkComplete, string(one.Args[0]), ""))
			}
			for i := range 3 * chunk {
				if !seen[fmt.Sprint("r", i)] {
					t.Fatalf("r%d is missing", i)
				}
			}
		})
	}
}

// shuffled is a library that brings each second job later, and fails at some
// records.
type shuffled struct {
	*library
	failAt []int
}

func (s *shuffled) Replay(ctx context.Context, f func(*store.Record) error) error {
	all := s.all()
	n := 0
	for _, odd := range []bool{false, true} {
		for _, r := range all {
			if r.Seq%2 == 1 != odd {
				continue
			}
			if n++; len(s.failAt) > 0 && n == s.failAt[0] {
				s.failAt = s.failAt[1:]
				return errAway
			}
			if err := f(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *shuffled) ReplayHeads(ctx context.Context, f func(*store.Record, int) error) error {
	return s.Replay(ctx, func(r *store.Record) error {
		size := len(r.Payload)
		r.Payload = nil
		return f(r, size)
	})
}
