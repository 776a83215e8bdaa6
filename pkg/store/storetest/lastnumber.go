package storetest

import (
	"fmt"
	"testing"

	"gm/pkg/store"
)

// RunLastNumber checks that a store knows the highest number of a job when no
// job is left: in the same process, after Close, and after end, which leaves
// the store like a kill. open opens it again each time.
func RunLastNumber(t *testing.T, open func(t *testing.T) store.Store, end func(s store.Store)) {
	last := func(s store.Store) uint64 {
		t.Helper()
		got, err := s.(store.Numbered).LastSeq(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	commit := func(s store.Store, ops ...store.Op) {
		t.Helper()
		if err := s.Commit(t.Context(), ops); err != nil {
			t.Fatal(err)
		}
	}
	seq := uint64(1) << 50
	s := open(t)
	for range 3 {
		for _, together := range []bool{true, false} {
			seq += 1_000_000
			j := &store.Record{Seq: seq, Function: "f", Unique: "u"}
			add, done := store.Op{Kind: store.Add, Record: j}, store.Op{Kind: store.Done, Record: j}
			if together {
				commit(s, add, done)
			} else {
				commit(s, add)
				commit(s, done)
			}
			if got := last(s); got != seq {
				t.Errorf("last number: got %d, want %d", got, seq)
			}
			if together {
				end(s)
			} else if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t)
			if got := last(s); got < seq || got > seq+1_000_000 {
				t.Errorf("last number, opened again: got %d, want %d or a little more", got, seq)
			}
			err := s.Extras(t.Context(), "", func(key string, _ []byte) error {
				t.Errorf("extra %q", key)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if compacter, ok := s.(store.Compacter); ok {
			if err := compacter.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// testLastSeqKept checks that the store still knows the highest number after
// its job is done, and that a server with a late clock gets it.
func testLastSeqKept(l *line) {
	numbered, ok := l.s.(store.Numbered)
	if !ok {
		l.t.Fatal("the store does not know its highest number")
	}
	jobs := l.batch(3, []byte("p"))
	l.commit(jobs...)
	for _, op := range jobs {
		l.commit(done(op))
	}
	want := jobs[2].Record.Seq
	for i := range 3 {
		if got, err := numbered.LastSeq(l.ctx); got < want || err != nil {
			l.t.Errorf("last number after the end of all jobs and %d restarts: got %d, %v, want %d", i, got, err, want)
		}
		l.close()
		l.open()
		numbered = l.s.(store.Numbered)
		if i == 1 { // a number that another server's clock has made lower
			low := l.job("f", fmt.Sprint("low", i), nil)
			low.Record.Seq = 5
			l.commit(low, done(low))
		}
	}
}
