package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"

	"gm/pkg/store"
)

// BenchmarkCommit commits batches of Adds of 100 bytes, each with a unique,
// and in the end the Dones of all.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint("adds=", size), func(b *testing.B) { benchmarkAdds(b, size) })
	}
	b.Run("adds and dones=1024", benchmarkBoth)
}

func benchmarkAdds(b *testing.B, size int) {
	s := open(b, filepath.Join(b.TempDir(), "queue.db"))
	defer s.Close()
	payload := make([]byte, 100)
	seq := uint64(7_000_000_000_000_000)
	n := 0
	for b.Loop() {
		if err := s.Commit(b.Context(), adds(size, &seq, payload)); err != nil {
			b.Fatal(err)
		}
		n += size
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "jobs/s")
}

// benchmarkBoth is a queue that works: as many jobs come as go.
func benchmarkBoth(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "queue.db"))
	defer s.Close()
	const size, waiting = 512, 20
	payload := make([]byte, 100)
	seq := uint64(7_000_000_000_000_000)
	var before [][]store.Op
	n := 0
	for b.Loop() {
		batch := adds(size, &seq, payload)
		before = append(before, batch)
		if len(before) > waiting {
			for _, op := range before[0] {
				batch = append(batch, store.Op{Kind: store.Done, Record: op.Record})
			}
			before = before[1:]
		}
		if err := s.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		n += size
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "jobs/s")
}

func adds(n int, seq *uint64, payload []byte) []store.Op {
	batch := make([]store.Op, n)
	for i := range batch {
		*seq++
		batch[i] = store.Op{Kind: store.Add, Record: &store.Record{
			Seq: *seq, Function: "function", Unique: fmt.Sprintf("client-%d-%d", *seq%8, *seq),
			Payload: payload, Priority: 1, Accepted: 1_795_000_000_123,
		}}
	}
	return batch
}
