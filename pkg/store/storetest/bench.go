package storetest

import (
	"fmt"
	"testing"

	"gm/pkg/store"
)

// Bench measures a store that is empty and locked: Adds per second in batches
// of 1, 64 and 1024 jobs with uniques and 100 bytes, and in such batches that
// also end as many jobs as they add.
func Bench(b *testing.B, open func(b *testing.B) store.Store) {
	for _, size := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint("add-", size), func(b *testing.B) { bench(b, open(b), size, false) })
		b.Run(fmt.Sprint("add-done-", size), func(b *testing.B) { bench(b, open(b), size, true) })
	}
}

func bench(b *testing.B, s store.Store, size int, ends bool) {
	if l, ok := s.(store.Locker); ok {
		eventually(b, "lock", func() bool { return l.TryLock(b.Context(), "bench") == nil })
	}
	data := payload(100)
	seq := uint64(1 << 52)
	var last []store.Op
	b.ReportAllocs()
	for b.Loop() {
		batch := make([]store.Op, 0, 2*size)
		for range size {
			seq++
			batch = append(batch, store.Op{Kind: store.Add, Record: &store.Record{
				Seq: seq, Function: "resize", Unique: fmt.Sprint("unique-", seq), Payload: data, Priority: 1, Accepted: 1_795_000_000_123,
			}})
		}
		if ends {
			for _, op := range last {
				batch = append(batch, done(op))
			}
			last = batch[:size:size]
		}
		if err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "adds/s")
}
