package disk

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gm/pkg/store"
)

// benchDir is a directory on the disk that GM_BENCH_DIR names, if it does, as
// the one for temporary files may be in memory.
func benchDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp(os.Getenv("GM_BENCH_DIR"), "gm-disk-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func benchStore(b *testing.B, dir string) *Store {
	b.Helper()
	s, err := Open(b.Context(), Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

var benchRecord = store.Record{
	Function: "resize", Unique: "3f2504e0-4f89-11d3-9a0c-0305e82c3301", Payload: bytes.Repeat([]byte("p"), 100), Priority: 1, Accepted: 1_795_000_000_123,
}

// adds fills ops with the Adds of records, numbered from seq on.
func adds(ops []store.Op, records []store.Record, seq uint64) []store.Op {
	ops = ops[:0]
	for i := range records {
		records[i] = benchRecord
		records[i].Seq = seq + uint64(i)
		ops = append(ops, store.Op{Kind: store.Add, Record: &records[i]})
	}
	return ops
}

// report tells the rate of single operations.
func report(b *testing.B, perRound int) {
	b.ReportMetric(float64(b.N)*float64(perRound)/b.Elapsed().Seconds(), "ops/s")
}

// BenchmarkCommit measures batches of Adds, of Adds and the Dones of as many
// older jobs, and of Dones in random order of jobs that all wait.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint("add/", size), func(b *testing.B) {
			s := benchStore(b, benchDir(b))
			records := make([]store.Record, size)
			var ops []store.Op
			seq := uint64(1)
			b.ReportAllocs()
			for b.Loop() {
				ops = adds(ops, records, seq)
				seq += uint64(size)
				if err := s.Commit(b.Context(), ops); err != nil {
					b.Fatal(err)
				}
			}
			report(b, size)
		})
		b.Run(fmt.Sprint("add+done/", size), func(b *testing.B) {
			s := benchStore(b, benchDir(b))
			records, ends := make([]store.Record, size), make([]store.Record, size)
			var ops []store.Op
			seq, behind := uint64(100_000), uint64(10*size)
			b.ReportAllocs()
			for b.Loop() {
				ops = adds(ops, records, seq)
				for i := range ends {
					ends[i].Seq = seq + uint64(i) - behind
					ops = append(ops, store.Op{Kind: store.Done, Record: &ends[i]})
				}
				seq += uint64(size)
				if err := s.Commit(b.Context(), ops); err != nil {
					b.Fatal(err)
				}
			}
			report(b, 2*size)
		})
	}
}

// BenchmarkDoneAtRandom measures batches of Dones, in random order, of jobs of
// a backlog.
func BenchmarkDoneAtRandom(b *testing.B) {
	const backlog, size = 200_000, 1024
	s := benchStore(b, benchDir(b))
	records := make([]store.Record, 1000)
	ends := make([]store.Record, size)
	var ops []store.Op
	var waiting []int
	for b.Loop() {
		if len(waiting) < size {
			b.StopTimer()
			for seq := 0; seq < backlog; seq += len(records) {
				ops = adds(ops, records, uint64(seq))
				if err := s.Commit(b.Context(), ops); err != nil {
					b.Fatal(err)
				}
			}
			waiting = rand.Perm(backlog)
			b.StartTimer()
		}
		ops = ops[:0]
		for i := range ends {
			ends[i].Seq = uint64(waiting[i])
			ops = append(ops, store.Op{Kind: store.Done, Record: &ends[i]})
		}
		waiting = waiting[size:]
		if err := s.Commit(b.Context(), ops); err != nil {
			b.Fatal(err)
		}
	}
	report(b, size)
}

// BenchmarkOpen measures the time of a restart with a backlog of jobs of 1 KB
// until the store is verified and open, and until all jobs are replayed.
func BenchmarkOpen(b *testing.B) {
	const backlog = 200_000
	dir := benchDir(b)
	s := benchStore(b, dir)
	addJobs(b, s, 1, backlog, 1000)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var open, heads time.Duration
	for b.Loop() {
		s := benchStore(b, dir)
		began := time.Now()
		if err := s.use(func(*engine) error { return nil }); err != nil {
			b.Fatal(err)
		}
		open += time.Since(began)
		began = time.Now()
		n := 0
		if err := s.ReplayHeads(b.Context(), func(*store.Record, int) error { n++; return nil }); err != nil || n != backlog {
			b.Fatalf("%d jobs, %v", n, err)
		}
		heads += time.Since(began)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "queue.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(open.Milliseconds())/float64(b.N), "ms/open")
	b.ReportMetric(float64(heads.Milliseconds())/float64(b.N), "ms/heads")
	b.ReportMetric(float64(info.Size())/backlog, "B/job")
}

func BenchmarkReadPayload(b *testing.B) {
	for _, size := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			const n = 2000
			s := benchStore(b, benchDir(b))
			addJobs(b, s, 1, n, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.ReadPayload(b.Context(), &store.Record{Seq: 1 + rand.Uint64N(n)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
